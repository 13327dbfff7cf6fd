-- What a partition changed from an offset on, for its next owner.

-- name: journal_since   What was decided from an offset on.
SELECT segment FROM speed.journal
WHERE topic = %(topic)s AND partition = %(partition)s AND next_offset > %(offset)s AND events > 0
ORDER BY first_offset;

-- name: products_of_hours
SELECT DISTINCT product_id FROM speed.product_hours_all WHERE pane_start = ANY(%(hours)s);

-- name: categories_of_hours
SELECT pane_start, category FROM speed.category_hours WHERE partition = %(partition)s AND pane_start = ANY(%(hours)s)
UNION
SELECT cell_start, category FROM speed.categories_entries WHERE partition = %(partition)s AND cell_start = ANY(%(hours)s);

-- name: quarantined_since
SELECT event_time, kafka_time FROM speed.quarantine
WHERE topic = %(topic)s AND partition = %(partition)s AND "offset" >= %(offset)s;

-- name: adjusted_since
SELECT business_date, cube, cell_start, key FROM speed.adjustments
WHERE partition = %(partition)s AND "offset" >= %(offset)s;

-- name: unpublished   Partitions of which something may still have to go out to the state topics.
SELECT topic, partition FROM speed.partitions AS held LEFT JOIN speed.published AS sent USING (topic, partition)
WHERE coalesce(sent.next_offset, 0) < held.next_offset;

-- name: journal_from   From the first segment on in which an event not older than an instant was accepted.
SELECT segment FROM speed.journal
WHERE topic = %(topic)s AND partition = %(partition)s AND events > 0 AND first_offset >= (
    SELECT min(first_offset) FROM speed.journal
    WHERE topic = %(topic)s AND partition = %(partition)s AND max_accepted_time >= %(since)s)
ORDER BY first_offset;
