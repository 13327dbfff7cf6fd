-- The day's figures and hourly cells. Variables: of_day (list of Parquet files: the facts of the date).

CREATE OR REPLACE TEMP TABLE events AS
SELECT * FROM read_parquet(getvariable('of_day')) WHERE decision = 'counted';

CREATE OR REPLACE TEMP TABLE order_hours AS
SELECT business_date, date_trunc('hour', event_time) AS cell_start,
       coalesce(sum(total_cents) FILTER (event_type = 'order_created'), 0)::BIGINT AS revenue_cents,
       count(*) FILTER (event_type = 'order_created') AS order_count,
       coalesce(sum(units) FILTER (event_type = 'order_created'), 0)::BIGINT AS units,
       coalesce(sum(total_cents) FILTER (event_type = 'order_cancelled'), 0)::BIGINT AS cancelled_revenue_cents,
       coalesce(sum(total_cents - previous_total_cents) FILTER (event_type = 'order_amended'), 0)::BIGINT AS amended_revenue_cents
FROM events WHERE event_type IN ('order_created', 'order_cancelled', 'order_amended') GROUP BY ALL;

-- An order with two lines of a product, or of a category, is one order.
CREATE OR REPLACE TEMP TABLE lines AS
SELECT business_date, date_trunc('hour', event_time) AS cell_start, partition, "offset", event_type,
       unnest(items, recursive := true)
FROM events WHERE event_type IN ('order_created', 'order_cancelled', 'order_amended');

CREATE OR REPLACE TEMP MACRO hours_of(name) AS TABLE
SELECT business_date, cell_start, name,
       coalesce(sum(amount_cents) FILTER (event_type = 'order_created'), 0)::BIGINT AS revenue_cents,
       count(DISTINCT (partition, "offset")) FILTER (event_type = 'order_created') AS order_count,
       coalesce(sum(quantity) FILTER (event_type = 'order_created'), 0)::BIGINT AS units,
       coalesce(sum(amount_cents) FILTER (event_type = 'order_cancelled'), 0)::BIGINT AS cancelled_revenue_cents,
       coalesce(sum(quantity) FILTER (event_type = 'order_cancelled'), 0)::BIGINT AS cancelled_units,
       coalesce(sum(amount_cents) FILTER (event_type = 'order_amended'), 0)::BIGINT AS amended_revenue_cents,
       coalesce(sum(quantity) FILTER (event_type = 'order_amended'), 0)::BIGINT AS amended_units
FROM lines GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE product_hours AS SELECT * FROM hours_of(product_id);
CREATE OR REPLACE TEMP TABLE category_hours AS SELECT * FROM hours_of(category);

CREATE OR REPLACE TEMP TABLE daily_metrics AS
SELECT business_date, sum(order_count)::BIGINT AS order_count, sum(revenue_cents)::BIGINT AS revenue_cents,
       sum(cancelled_revenue_cents)::BIGINT AS cancelled_revenue_cents,
       sum(amended_revenue_cents)::BIGINT AS amended_revenue_cents,
       (sum(revenue_cents) + sum(amended_revenue_cents) - sum(cancelled_revenue_cents))::BIGINT AS net_revenue_cents,
       ((2 * sum(revenue_cents) + sum(order_count)) // (2 * nullif(sum(order_count), 0)))::BIGINT AS avg_order_value_cents,
       (SELECT count(DISTINCT customer_id) FROM events WHERE event_type = 'order_created') AS unique_customers,
       sum(units)::BIGINT AS units
FROM order_hours GROUP BY ALL;
