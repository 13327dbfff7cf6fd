-- What reconciliation found, as the drill reads it: from the tables, not from the code that filled them.

-- name: comparisons  (each date's first comparison and its last)
SELECT DISTINCT ON (business_date) business_date, first.reconciliation_id, first.verdict, first.reason,
       first.cells_differing, last.verdict, last.cells_differing
FROM reconciliation.reconciliations AS first
JOIN (SELECT DISTINCT ON (business_date) business_date, verdict, cells_differing FROM reconciliation.reconciliations
      ORDER BY business_date, reconciliation_id DESC) AS last USING (business_date)
ORDER BY business_date, first.reconciliation_id;

-- name: corrections
SELECT c.business_date, count(*) FILTER (WHERE c.status <> 'waiting_approval'), count(a.correction_id),
       count(*) FILTER (WHERE c.status = 'waiting_approval')
FROM reconciliation.corrections AS c LEFT JOIN speed.adjustments AS a USING (correction_id) GROUP BY c.business_date;

-- name: discrepancies
SELECT r.business_date, d.partition, d."offset", d.cause, d.batch_cents - d.speed_cents
FROM reconciliation.discrepancies AS d JOIN reconciliation.reconciliations AS r USING (reconciliation_id)
WHERE reconciliation_id = ANY(%(ids)s) ORDER BY 1, 2, 3;

-- name: ledger
SELECT r.business_date, l.cube, l.cell_start, l.key, l.measure, l.cause, l.amount
FROM reconciliation.ledger AS l JOIN reconciliation.reconciliations AS r USING (reconciliation_id)
WHERE reconciliation_id = ANY(%(ids)s);

-- name: facts_versions
SELECT v.business_date, r.facts_version FROM batch.versions AS v JOIN batch.runs AS r USING (run_id)
WHERE v.view = 'daily_metrics' AND v.superseded_at IS NULL;

-- name: published_run
SELECT run_id FROM batch.versions
WHERE view = 'daily_metrics' AND business_date = %(business_date)s AND superseded_at IS NULL;

-- name: failed_gates  (dates that were computed and never published, and the checks that failed)
SELECT r.business_date, array_agg(g.expectation ORDER BY g.expectation)
FROM batch.runs AS r JOIN batch.gate_results AS g USING (run_id)
WHERE g.level = 'fail' AND NOT g.success
      AND NOT EXISTS (SELECT FROM batch.versions AS v WHERE v.business_date = r.business_date)
GROUP BY r.business_date;

-- Faults in the layers, which the drill plants into its own rows -------------------------------------------------------

-- name: skip
UPDATE speed.partitions SET next_offset = %(next_offset)s
WHERE topic = %(topic)s AND partition = %(partition)s AND next_offset < %(next_offset)s;

-- name: say_zone
UPDATE public.installation SET business_timezone = %(business_timezone)s;

-- name: drop_product
DELETE FROM speed.product_hours WHERE business_date = %(business_date)s AND product_id = %(product_id)s;

-- name: lose_segments
DELETE FROM speed.journal WHERE topic = %(topic)s AND partition = %(partition)s
      AND first_offset < %(next_offset)s AND next_offset > %(first_offset)s;
