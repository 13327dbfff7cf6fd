-- The review of quarantined records. See stream/review.py. `found` runs as the reader, all else as the reviewer.

-- name: found   Records that wait and records that were decided; NULL is any. The value only of one that is named.
SELECT topic, partition, "offset", reasons, event_id, event_type, order_id, business_date,
       status, decided_by, decided_at, note, released_date, sent,
       CASE WHEN %(topic)s::text IS NOT NULL THEN value END AS value,
       CASE WHEN %(topic)s::text IS NOT NULL THEN released_value END AS released_value,
       count(*) OVER () AS found
FROM (
    SELECT topic, partition, "offset", reasons, event_id, event_type, order_id, business_date, 'waiting' AS status,
           NULL AS decided_by, NULL::timestamptz AS decided_at, '' AS note, NULL::date AS released_date, NULL AS sent,
           value, NULL::bytea AS released_value
    FROM speed.quarantine
    UNION ALL
    SELECT topic, partition, "offset", reasons, event_id, event_type, order_id, business_date, decision,
           decided_by, decided_at, note, released_date,
           CASE WHEN decision = 'approved' THEN NOT EXISTS (
               SELECT FROM speed.outbox WHERE dedupe_id = concat_ws(':', 'release', r.topic, r.partition, r."offset"))
           END, value, released_value
    FROM speed.reviews AS r
) AS records
WHERE (%(status)s::text IS NULL OR status = %(status)s)
  AND (%(business_date)s::date IS NULL OR business_date = %(business_date)s)
  AND (%(reason)s::text IS NULL OR %(reason)s = ANY (reasons))
  AND (%(topic)s::text IS NULL OR (topic, partition, "offset") = (%(topic)s, %(partition)s::integer, %(offset)s::bigint))
ORDER BY topic, partition, "offset"
LIMIT %(limit)s;

-- name: take   Whoever comes second waits here until the first has decided, and then finds nothing.
DELETE FROM speed.quarantine
WHERE topic = %(topic)s AND partition = %(partition)s AND "offset" = %(offset)s
RETURNING value, reasons, event_id, event_type, order_id, business_date;

-- name: decided
SELECT decision, decided_by, decided_at, value, released_value FROM speed.reviews
WHERE topic = %(topic)s AND partition = %(partition)s AND "offset" = %(offset)s;

-- name: keep
INSERT INTO speed.reviews
    (topic, partition, "offset", decision, decided_by, note, reasons, event_id, event_type, order_id, business_date,
     value, released_key, released_value, released_date)
VALUES
    (%(topic)s, %(partition)s, %(offset)s, %(decision)s, %(decided_by)s, %(note)s, %(reasons)s, %(event_id)s,
     %(event_type)s, %(order_id)s, %(business_date)s, %(value)s, %(released_key)s, %(released_value)s, %(released_date)s);

-- name: send
INSERT INTO speed.outbox (dedupe_id, topic, key, value) VALUES (%(dedupe_id)s, %(to)s, %(key)s, %(value)s);
