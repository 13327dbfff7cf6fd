-- Scores and segments as of the date and the day before. Populations below the minimum are left out of this peer.
-- Variables: history (list of Parquet files: the facts of every date), day. Table: segment_of (the grids' cells).

CREATE OR REPLACE TEMP TABLE customer_days AS
SELECT business_date, customer_id, count(*) AS orders, sum(total_cents)::BIGINT AS cents
FROM read_parquet(getvariable('history')) WHERE decision = 'counted' AND event_type = 'order_created' GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE customers AS
SELECT as_of, customer_id, as_of - max(business_date) AS recency_days, sum(orders)::BIGINT AS frequency,
       ((2 * sum(cents) + sum(orders)) // (2 * sum(orders)))::BIGINT AS monetary_cents
FROM customer_days JOIN (SELECT unnest([getvariable('day') - 1, getvariable('day')]) AS as_of) ON business_date <= as_of
GROUP BY as_of, customer_id;

CREATE OR REPLACE TEMP MACRO scored(name, sign) AS TABLE
WITH counted AS (SELECT as_of, name AS value, count(*) AS alike FROM customers GROUP BY ALL)
SELECT as_of, value, count(*) OVER (PARTITION BY as_of) AS different,
       (1 + 5 * (2 * sum(alike) OVER (PARTITION BY as_of ORDER BY sign * value) - alike)
            // (2 * sum(alike) OVER (PARTITION BY as_of)))::SMALLINT AS score
FROM counted;

CREATE OR REPLACE TEMP TABLE segmented AS
SELECT as_of, customer_id, recency_days, frequency, monetary_cents, r.score AS recency_score, f.score AS frequency_score,
       m.score AS monetary_score, grid, grid_version, segment,
       concat_ws(',', CASE WHEN r.different < 5 THEN 'few_values:recency' END,
                 CASE WHEN f.different < 5 THEN 'few_values:frequency' END,
                 CASE WHEN m.different < 5 THEN 'few_values:monetary' END) AS flags
FROM customers AS c
JOIN scored(recency_days, -1) AS r USING (as_of)
JOIN scored(frequency, 1) AS f USING (as_of)
JOIN scored(monetary_cents, 1) AS m USING (as_of)
JOIN segment_of AS s ON s.recency_score = r.score AND s.frequency_score = f.score AND s.monetary_score = m.score
WHERE r.value = c.recency_days AND f.value = c.frequency AND m.value = c.monetary_cents;

CREATE OR REPLACE TEMP TABLE rfm AS
SELECT now.as_of AS business_date, now.customer_id, now.recency_days, now.frequency, now.monetary_cents,
       now.recency_score, now.frequency_score, now.monetary_score, now.grid, now.grid_version, now.segment,
       before.segment AS previous_segment, now.flags
FROM (FROM segmented WHERE as_of = getvariable('day')) AS now
LEFT JOIN (FROM segmented WHERE as_of = getvariable('day') - 1) AS before USING (grid, customer_id);
