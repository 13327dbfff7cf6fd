-- What the journal lets go of, and what it has let go of: stream/journal_upkeep.py, tandem/journal.py.

-- name: places   Per partition: where its journal begins, how far it is in event time, and up to where all has gone out.
SELECT held.topic, held.partition, coalesce(kept.from_offset, 0), held.watermark, coalesce(sent.next_offset, 0)
FROM speed.partitions AS held
LEFT JOIN speed.journal_kept AS kept USING (topic, partition)
LEFT JOIN speed.published AS sent USING (topic, partition)
WHERE topic = %(topic)s ORDER BY partition;

-- name: oldest   From an offset on.
SELECT first_offset, next_offset, events, processed_at, max_accepted_time, octet_length(segment) FROM speed.journal
WHERE topic = %(topic)s AND partition = %(partition)s AND first_offset >= %(from_offset)s
ORDER BY first_offset LIMIT %(at_once)s;

-- name: content
SELECT segment FROM speed.journal
WHERE topic = %(topic)s AND partition = %(partition)s AND first_offset = %(first_offset)s;

-- name: first_published
SELECT min(business_date) FROM reconciliation.journal_needs;

-- name: needed   Those of these dates that still need their journal, and why. One that has lost some of it has no use for
-- the rest. Before the first published date, and before the archive begins, nothing is published by itself: there only
-- what the stream counted holds, unless it can no longer be computed.
SELECT business_date, coalesce(needs.why, 'it was never published')
FROM unnest(%(dates)s::date[]) AS asked (business_date)
LEFT JOIN reconciliation.journal_needs AS needs USING (business_date)
WHERE NOT EXISTS (SELECT FROM speed.journal_expired AS gone WHERE gone.business_date = asked.business_date)
  AND (needs.why IS NOT NULL OR needs.business_date IS NULL
       AND business_date >= coalesce(%(computable_from)s::date, '-infinity')
       AND (business_date >= coalesce(%(first_published)s::date, '-infinity')
            OR EXISTS (SELECT FROM speed.order_minutes AS m WHERE m.business_date = asked.business_date)))
ORDER BY business_date;

-- name: let_go
DELETE FROM speed.journal
WHERE topic = %(topic)s AND partition = %(partition)s AND first_offset < %(next_offset)s;

-- name: note_kept
INSERT INTO speed.journal_kept AS known (topic, partition, from_offset, accepted_until)
VALUES (%(topic)s, %(partition)s, %(next_offset)s, %(accepted_until)s)
ON CONFLICT (topic, partition) DO UPDATE
SET from_offset = excluded.from_offset, accepted_until = greatest(known.accepted_until, excluded.accepted_until);

-- name: note_expired
INSERT INTO speed.journal_expired (business_date) SELECT unnest(%(dates)s::date[]) ON CONFLICT DO NOTHING;

-- name: expired   Of these dates, since when some of their journal is gone.
SELECT business_date, expired_at FROM speed.journal_expired WHERE business_date = ANY(%(dates)s::date[]);

-- name: kept_from
SELECT partition, from_offset, accepted_until FROM speed.journal_kept WHERE topic = %(topic)s;
