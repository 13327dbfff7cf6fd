-- How many different customers a date and a month have, kept by whatever changes speed.customer_days, in its transaction.
-- To count a million customers of a date takes half a second, and every ten seconds the date and its month are sent.

-- Rows are of all partitions together since they are settled. Where a customer's date still has others they become one, so
-- that a row is a customer.
INSERT INTO speed.customer_days AS held (business_date, customer_id, partition, order_count, revenue_cents)
SELECT business_date, customer_id, -1, sum(order_count), sum(revenue_cents) FROM speed.customer_days WHERE partition <> -1 GROUP BY 1, 2
ON CONFLICT (business_date, customer_id, partition) DO UPDATE
SET order_count = held.order_count + excluded.order_count, revenue_cents = held.revenue_cents + excluded.revenue_cents;
DELETE FROM speed.customer_days WHERE partition <> -1;
ALTER TABLE speed.customer_days ADD CHECK (partition = -1);

-- One row per customer and month in which they have a date.
CREATE TABLE speed.customer_months (
    month       date NOT NULL,  -- its first
    customer_id text NOT NULL,
    PRIMARY KEY (month, customer_id)
);

-- How many rows customer_days has of a date, and customer_months of a month.
CREATE TABLE speed.date_customers (
    business_date date   PRIMARY KEY,
    customers     bigint NOT NULL
);
CREATE TABLE speed.month_customers (
    month     date   PRIMARY KEY,
    customers bigint NOT NULL
);

INSERT INTO speed.customer_months
SELECT DISTINCT date_trunc('month', business_date::timestamp)::date, customer_id FROM speed.customer_days ORDER BY 1, 2;
INSERT INTO speed.date_customers SELECT business_date, count(*) FROM speed.customer_days GROUP BY 1;
INSERT INTO speed.month_customers SELECT month, count(*) FROM speed.customer_months GROUP BY 1;

-- By triggers, because rows do not only come by being settled: a rebuild's are put in place of those that were there.
CREATE FUNCTION speed.count_customers_that_came() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO speed.date_customers AS held
    SELECT business_date, count(*) FROM came GROUP BY 1
    ON CONFLICT (business_date) DO UPDATE SET customers = held.customers + excluded.customers;

    WITH new AS (
        INSERT INTO speed.customer_months
        SELECT date_trunc('month', business_date::timestamp)::date, customer_id FROM came
        ON CONFLICT DO NOTHING RETURNING month
    )
    INSERT INTO speed.month_customers AS held
    SELECT month, count(*) FROM new GROUP BY 1
    ON CONFLICT (month) DO UPDATE SET customers = held.customers + excluded.customers;
    RETURN NULL;
END $$;
CREATE TRIGGER came AFTER INSERT ON speed.customer_days REFERENCING NEW TABLE AS came
FOR EACH STATEMENT EXECUTE FUNCTION speed.count_customers_that_came();

CREATE FUNCTION speed.count_customers_that_went() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE speed.date_customers AS held SET customers = held.customers - went.customers
    FROM (SELECT business_date, count(*) AS customers FROM went GROUP BY 1) AS went
    WHERE held.business_date = went.business_date;

    -- Planned for each deletion: of a date's customers, and of one, other plans are good.
    EXECUTE $of_months$
        WITH gone AS (
            DELETE FROM speed.customer_months AS held
            USING (SELECT DISTINCT date_trunc('month', business_date::timestamp)::date AS month, customer_id FROM went) AS went
            WHERE held.month = went.month AND held.customer_id = went.customer_id AND NOT EXISTS (
                SELECT FROM speed.customer_days AS kept
                WHERE date_trunc('month', kept.business_date::timestamp)::date = went.month
                      AND kept.customer_id = went.customer_id
                      AND kept.business_date >= (SELECT date_trunc('month', min(business_date)::timestamp) FROM went)
                      AND kept.business_date < (SELECT date_trunc('month', max(business_date)::timestamp) + interval '1 month' FROM went))
            RETURNING held.month
        )
        UPDATE speed.month_customers AS held SET customers = held.customers - gone.customers
        FROM (SELECT month, count(*) AS customers FROM gone GROUP BY 1) AS gone
        WHERE held.month = gone.month
    $of_months$;
    RETURN NULL;
END $$;
CREATE TRIGGER went AFTER DELETE ON speed.customer_days REFERENCING OLD TABLE AS went
FOR EACH STATEMENT EXECUTE FUNCTION speed.count_customers_that_went();

CREATE FUNCTION speed.count_no_customers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM speed.date_customers;
    DELETE FROM speed.customer_months;
    DELETE FROM speed.month_customers;
    RETURN NULL;
END $$;
CREATE TRIGGER emptied AFTER TRUNCATE ON speed.customer_days
FOR EACH STATEMENT EXECUTE FUNCTION speed.count_no_customers();
