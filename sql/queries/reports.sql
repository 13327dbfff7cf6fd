-- What the report asks beyond the comparison itself.

-- name: newest_gate_results  (of the newest run that was checked, published or not; the first failing rows by place)
SELECT suite, expectation, level, success, observed || coalesce(', first at partition:offset ' || (
    SELECT string_agg((place ->> 'partition') || ':' || (place ->> 'offset'), ', ' ORDER BY number)
    FROM jsonb_array_elements(failing_rows) WITH ORDINALITY AS first (place, number) WHERE number <= 3), '')
FROM batch.gate_results
WHERE business_date = %(business_date)s AND run_id = (
    SELECT run_id FROM batch.gate_results WHERE business_date = %(business_date)s ORDER BY checked_at DESC LIMIT 1)
ORDER BY success, level, suite, expectation;

-- name: newest_checked_run
SELECT run_id FROM batch.gate_results WHERE business_date = %(business_date)s ORDER BY checked_at DESC LIMIT 1;

-- name: signed_errors  (of the last dates compared: batch - stream as counted, in percent of batch)
WITH newest AS (
    SELECT DISTINCT ON (business_date) business_date, reconciliation_id FROM reconciliation.reconciliations
    WHERE business_date <= %(business_date)s AND verdict <> 'not_comparable'
    ORDER BY business_date DESC, reconciliation_id DESC LIMIT %(days)s
)
SELECT metric, business_date, 100::float8 * (batch_value - speed_value + corrected) / batch_value
FROM newest JOIN reconciliation.comparisons USING (reconciliation_id)
WHERE level = 'day' AND metric = ANY(%(metrics)s) AND batch_value <> 0 AND speed_value IS NOT NULL
ORDER BY metric, business_date;

-- name: is_newest_compared  (nothing was compared of a later date)
SELECT NOT EXISTS (SELECT FROM reconciliation.reconciliations
                   WHERE business_date > %(business_date)s AND verdict <> 'not_comparable');

-- name: standing  (segments and rankings that are not made of published dates alone)
SELECT 'segments', status, reason FROM serving.rfm_dates
WHERE business_date = %(business_date)s AND status <> 'certified'
UNION ALL
SELECT 'rankings', status, reason FROM serving.product_rankings_dates
WHERE business_date = %(business_date)s AND status <> 'certified';
