-- Products by four measures, overall and within category, against the day before.
-- Variables: two_days (list of Parquet files: the facts of the date and of the day before), day.

CREATE OR REPLACE TEMP TABLE sold AS
SELECT business_date, partition, "offset", customer_id, event_type = 'order_created' AS created,
       CASE event_type WHEN 'order_cancelled' THEN -1 ELSE 1 END AS sign, unnest(items, recursive := true)
FROM read_parquet(getvariable('two_days'))
WHERE decision = 'counted' AND event_type IN ('order_created', 'order_cancelled', 'order_amended');

CREATE OR REPLACE TEMP MACRO totals_within(scope, scope_key) AS TABLE
SELECT business_date, scope AS scope, scope_key AS scope_key, product_id, min(category) AS category,
       sum(sign * amount_cents)::BIGINT AS revenue_cents, sum(sign * quantity)::BIGINT AS units,
       count(DISTINCT (partition, "offset")) FILTER (created) AS order_count,
       count(DISTINCT customer_id) FILTER (created) AS buyers
FROM sold GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE totals AS
SELECT * FROM totals_within('overall', '') UNION ALL SELECT * FROM totals_within('category', category);

CREATE OR REPLACE TEMP TABLE ranked AS
SELECT business_date, scope, scope_key, measure, product_id, category, value,
       rank() OVER (ranking ORDER BY value DESC)::INTEGER AS rank,
       greatest(value, 0) / nullif(sum(greatest(value, 0)) OVER ranking, 0) AS share,
       sum(greatest(value, 0)) OVER (ranking ORDER BY value DESC, product_id)
           / nullif(sum(greatest(value, 0)) OVER ranking, 0) AS cumulative_share
FROM (UNPIVOT totals ON revenue_cents, units, order_count, buyers INTO NAME measure VALUE value)
WINDOW ranking AS (PARTITION BY business_date, scope, scope_key, measure);

CREATE OR REPLACE TEMP TABLE product_rankings AS
SELECT getvariable('day') AS business_date, scope, scope_key, measure, product_id,
       coalesce(now.category, before.category) AS category, now.value, now.rank, before.rank AS previous_rank,
       before.rank - now.rank AS rank_change,
       CASE WHEN before.rank IS NULL THEN 'NEW' WHEN now.rank IS NULL THEN 'DROPPED'
            WHEN now.rank < before.rank THEN 'UP' WHEN now.rank > before.rank THEN 'DOWN' ELSE 'SAME' END AS movement,
       now.share, now.cumulative_share
FROM (FROM ranked WHERE business_date = getvariable('day')) AS now
FULL JOIN (FROM ranked WHERE business_date = getvariable('day') - 1) AS before USING (scope, scope_key, measure, product_id);
