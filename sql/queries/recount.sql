-- How many customers a date and a month have, counted anew from their rows and held against what triggers keep beside them.
-- Only settled rows are kept count of: what is pending a view adds. A date or month that has lost its last customer keeps a
-- row that says 0.

-- name: differences   Table, what the row is of, what is kept, what is counted.
WITH days AS (SELECT business_date, customer_id FROM speed.customer_days WHERE business_date >= %(since_month)s),
     months AS (SELECT DISTINCT date_trunc('month', business_date::timestamp)::date AS month, customer_id FROM days),
     held AS (SELECT month, customer_id FROM speed.customer_months WHERE month >= %(since_month)s)
SELECT 'date_customers', jsonb_build_object('business_date', business_date), kept.customers, coalesce(counted.customers, 0)
FROM (SELECT business_date, count(*) AS customers FROM days WHERE business_date >= %(since_date)s GROUP BY 1) AS counted
FULL JOIN (SELECT * FROM speed.date_customers WHERE business_date >= %(since_date)s) AS kept USING (business_date)
WHERE coalesce(kept.customers, 0) <> coalesce(counted.customers, 0)
UNION ALL
SELECT 'month_customers', jsonb_build_object('month', month), kept.customers, coalesce(counted.customers, 0)
FROM (SELECT month, count(*) AS customers FROM months GROUP BY 1) AS counted
FULL JOIN (SELECT * FROM speed.month_customers WHERE month >= %(since_month)s) AS kept USING (month)
WHERE coalesce(kept.customers, 0) <> coalesce(counted.customers, 0)
UNION ALL
SELECT 'customer_months', to_jsonb(surplus), 1, 0 FROM (SELECT * FROM held EXCEPT SELECT * FROM months) AS surplus
UNION ALL
SELECT 'customer_months', to_jsonb(lacking), 0, 1 FROM (SELECT * FROM months EXCEPT SELECT * FROM held) AS lacking
ORDER BY 1, 2;

-- name: forget_customer_months
DELETE FROM speed.customer_months WHERE month >= %(since_month)s;

-- name: count_customer_months
INSERT INTO speed.customer_months
SELECT DISTINCT date_trunc('month', business_date::timestamp)::date, customer_id
FROM speed.customer_days WHERE business_date >= %(since_month)s ORDER BY 1, 2;

-- name: forget_month_customers
DELETE FROM speed.month_customers WHERE month >= %(since_month)s;

-- name: count_month_customers
INSERT INTO speed.month_customers
SELECT month, count(*) FROM speed.customer_months WHERE month >= %(since_month)s GROUP BY 1;

-- name: forget_date_customers
DELETE FROM speed.date_customers WHERE business_date >= %(since_date)s;

-- name: count_date_customers
INSERT INTO speed.date_customers
SELECT business_date, count(*) FROM speed.customer_days WHERE business_date >= %(since_date)s GROUP BY 1;
