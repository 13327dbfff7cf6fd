-- Journal segments of small micro-batches become few: stream/segments.py.

-- name: small   Of every partition, from an offset on if one is given. The index is of just these.
SELECT held.topic, held.partition, j.first_offset, j.next_offset, j.events, j.epoch, j.rule_version
FROM speed.partitions AS held
LEFT JOIN unnest(%(topics)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[])
    AS known (topic, partition, since) USING (topic, partition)
CROSS JOIN LATERAL (
    SELECT first_offset, next_offset, events, epoch, rule_version FROM speed.journal AS of_held
    WHERE of_held.topic = held.topic AND of_held.partition = held.partition AND events < 1000
      AND first_offset >= coalesce(known.since, 0)
    ORDER BY first_offset LIMIT %(at_once)s
) AS j
ORDER BY held.topic, held.partition, j.first_offset;

-- name: contents
SELECT first_offset, next_offset, segment FROM speed.journal
WHERE topic = %(topic)s AND partition = %(partition)s
  AND first_offset >= %(first_offset)s AND first_offset < %(next_offset)s
ORDER BY first_offset FOR UPDATE;

-- name: merge
WITH gone AS (
    DELETE FROM speed.journal
    WHERE topic = %(topic)s AND partition = %(partition)s
      AND first_offset >= %(first_offset)s AND first_offset < %(next_offset)s
    RETURNING *
), batches AS (
    SELECT array_agg(began ORDER BY began) AS offsets, array_agg(at ORDER BY began) AS times
    FROM gone, unnest(coalesce(batch_offsets, ARRAY[first_offset]), coalesce(batch_times, ARRAY[processed_at]))
        AS batch (began, at)
), whole AS (
    SELECT topic, partition, min(first_offset) AS first_offset, max(next_offset) AS next_offset, sum(events) AS events,
           min(min_business_date) AS min_business_date, max(max_business_date) AS max_business_date,
           max(max_accepted_time) AS max_accepted_time,
           (array_agg(watermark_before ORDER BY first_offset))[1] AS watermark_before,
           (array_agg(watermark_after ORDER BY first_offset DESC))[1] AS watermark_after,
           min(epoch) AS epoch, min(rule_version) AS rule_version, max(processed_at) AS processed_at
    FROM gone GROUP BY topic, partition
)
INSERT INTO speed.journal
    (topic, partition, first_offset, next_offset, events, min_business_date, max_business_date, max_accepted_time,
     watermark_before, watermark_after, epoch, rule_version, processed_at, segment, batch_offsets, batch_times)
SELECT topic, partition, first_offset, next_offset, events, min_business_date, max_business_date, max_accepted_time,
       watermark_before, watermark_after, epoch, rule_version, processed_at, %(segment)s, offsets, times
FROM whole, batches;
