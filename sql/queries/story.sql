-- One order in both layers: what tandem explain --order asks.

-- name: journal_segments  (of a date, or all that are kept; and where each micro-batch in it began, and when it was)
SELECT partition, rule_version, epoch, segment, coalesce(batch_offsets, ARRAY[first_offset]),
       coalesce(batch_times, ARRAY[processed_at]) FROM speed.journal
WHERE topic = %(topic)s AND events > 0 AND (%(business_date)s::date IS NULL
      OR (min_business_date <= %(business_date)s AND max_business_date >= %(business_date)s))
ORDER BY partition, first_offset;

-- name: quarantined  (what waits for a review, or was never approved)
SELECT partition, "offset", quarantined_at FROM speed.quarantine WHERE topic = %(topic)s AND order_id = %(order_id)s;

-- name: differences  (as the newest comparison of each date found them)
SELECT d.partition, d."offset", d.reconciliation_id, d.cause, d.evidence, d.speed_cents, d.batch_cents
FROM reconciliation.discrepancies AS d JOIN reconciliation.reconciliations AS r USING (reconciliation_id)
WHERE d.topic = %(topic)s AND d.order_id = %(order_id)s AND r.business_date = ANY(%(dates)s) AND reconciliation_id = (
    SELECT max(n.reconciliation_id) FROM reconciliation.reconciliations AS n WHERE n.business_date = r.business_date);

-- name: compared  (the dates whose newest comparison had a result)
SELECT DISTINCT ON (business_date) business_date, reconciliation_id, verdict FROM reconciliation.reconciliations
WHERE business_date = ANY(%(dates)s) ORDER BY business_date, reconciliation_id DESC;

-- name: versions
SELECT version, published_at, why, reason FROM serving.history
WHERE view = 'daily_metrics' AND business_date = %(business_date)s ORDER BY version;
