-- The events of a date from the archive's files, decoded, checked and deduplicated.
-- Variables: records, earlier (lists of Parquet files; earlier: facts of the seven dates before), day.

CREATE OR REPLACE TEMP TABLE decoded AS
WITH opened AS (
    SELECT partition, "offset", kafka_time, try(from_json(decode(value), '{
        "event_id": "VARCHAR", "event_type": "VARCHAR", "event_time": "VARCHAR", "order_id": "VARCHAR",
        "customer_id": "VARCHAR", "total_amount": "VARCHAR", "previous_total_amount": "VARCHAR", "currency": "VARCHAR",
        "payment_method": "VARCHAR", "region": "VARCHAR",
        "items": [{"product_id": "VARCHAR", "category": "VARCHAR", "quantity": "BIGINT", "unit_price": "VARCHAR", "amount": "VARCHAR"}]
    }')) AS event
    FROM read_parquet(getvariable('records')) WHERE topic = 'order-events'
), typed AS (
    SELECT partition, "offset", kafka_time, event.event_id, event.event_type,
           try_cast(event.event_time AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS event_time,
           event.order_id, event.customer_id, event.currency, event.payment_method, event.region,
           CAST(try_cast(event.total_amount AS DECIMAL(18, 2)) * 100 AS BIGINT) AS total_cents,
           CAST(try_cast(event.previous_total_amount AS DECIMAL(18, 2)) * 100 AS BIGINT) AS previous_total_cents,
           list_transform(event.items, lambda x: {
               'product_id': x.product_id, 'category': coalesce(x.category, 'uncategorised'),
               'quantity': CASE WHEN x.quantity IS NULL AND x.amount IS NOT NULL THEN 0 ELSE x.quantity END,
               'amount_cents': CASE WHEN x.amount IS NOT NULL THEN CAST(try_cast(x.amount AS DECIMAL(18, 2)) * 100 AS BIGINT)
                                    ELSE x.quantity * CAST(try_cast(x.unit_price AS DECIMAL(18, 2)) * 100 AS BIGINT) END
           }) AS items
    FROM opened
), summed AS (
    SELECT *, coalesce(len(items), 0) AS item_count,
           coalesce(list_sum(list_transform(items, lambda x: x.amount_cents)), 0) AS items_cents,
           CAST(coalesce(list_sum(list_transform(items, lambda x: x.quantity)), 0) AS BIGINT) AS units,
           coalesce(len(list_filter(items, lambda x:
               x.product_id IS NULL OR x.quantity IS NULL OR x.amount_cents IS NULL)), 0) AS bad_items
    FROM typed
)
SELECT *, event_type IN ('order_created', 'order_cancelled', 'order_amended') AS of_order,
       event_type IS NULL OR event_id IS NULL OR event_time IS NULL OR order_id IS NULL OR customer_id IS NULL
       OR event_time > kafka_time AT TIME ZONE 'UTC' + INTERVAL 1 HOUR
       OR coalesce(currency <> 'USD', false)
       OR of_order AND (coalesce(total_cents, 0) <= 0 OR bad_items > 0)
       OR event_type = 'order_amended' AND coalesce(previous_total_cents, 0) <= 0
       OR event_type = 'order_created' AND item_count = 0
       OR of_order AND item_count > 0
          AND abs(items_cents - total_cents + CASE event_type WHEN 'order_amended' THEN previous_total_cents ELSE 0 END)
              > total_cents / 100.0 AS is_critical
FROM summed;

-- Few ids stand twice, so only those are put in order.
CREATE OR REPLACE TEMP TABLE valid AS
SELECT partition, "offset", kafka_time, event_id, event_type, order_id FROM decoded
WHERE NOT is_critical AND CAST(event_time AS DATE) = getvariable('day')
      AND event_type IN ('order_created', 'order_cancelled', 'order_amended', 'payment_succeeded', 'payment_failed');

CREATE OR REPLACE TEMP TABLE copies AS
SELECT partition, "offset" FROM valid
WHERE event_id IN (SELECT event_id FROM valid GROUP BY ALL HAVING count(*) > 1)
QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY kafka_time, partition, "offset") > 1;

CREATE OR REPLACE TEMP TABLE created AS
SELECT v.* FROM valid AS v ANTI JOIN copies USING (partition, "offset") WHERE event_type = 'order_created';

CREATE OR REPLACE TEMP TABLE repeated AS
SELECT partition, "offset" FROM created
WHERE order_id IN (SELECT order_id FROM created GROUP BY ALL HAVING count(*) > 1)
QUALIFY row_number() OVER (PARTITION BY order_id ORDER BY kafka_time, partition, "offset") > 1
UNION ALL
SELECT partition, "offset" FROM created SEMI JOIN (
    SELECT order_id FROM read_parquet(getvariable('earlier'))
    WHERE event_type = 'order_created' AND decision IN ('counted', 'duplicate')
) USING (order_id);

CREATE OR REPLACE TEMP VIEW facts AS
SELECT partition, "offset", kafka_time, event_id, event_type, event_time, order_id, customer_id, total_cents,
       previous_total_cents, units, items, payment_method, region, getvariable('day') AS business_date,
       CASE WHEN is_critical THEN 'quarantined'
            WHEN event_type NOT IN ('order_created', 'order_cancelled', 'order_amended', 'payment_succeeded', 'payment_failed') THEN 'ignored'
            WHEN (partition, "offset") IN (SELECT (partition, "offset") FROM copies UNION ALL SELECT (partition, "offset") FROM repeated) THEN 'duplicate'
            ELSE 'counted' END AS decision
FROM decoded WHERE CAST(event_time AS DATE) = getvariable('day');
