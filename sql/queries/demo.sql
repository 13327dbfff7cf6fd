-- What the demo looks up to check its own claims.

-- name: verdicts
SELECT r.business_date,
       (array_agg(verdict ORDER BY reconciliation_id))[1] AS first,
       (array_agg(verdict ORDER BY reconciliation_id DESC))[1] AS last,
       (SELECT count(*) FROM reconciliation.corrections AS c WHERE c.business_date = r.business_date) AS corrections,
       (SELECT count(*) FROM speed.adjustments AS a WHERE a.business_date = r.business_date) AS applied
FROM reconciliation.reconciliations AS r
WHERE r.business_date = ANY (%(dates)s)
GROUP BY r.business_date
ORDER BY r.business_date;

-- name: speed_offsets
SELECT partition, next_offset FROM speed.partitions WHERE topic = %(topic)s;
