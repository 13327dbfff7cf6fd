-- What the report asks beyond the comparison itself.

-- name: newest_gate_results  (of the newest run that was checked, published or not; the first failing rows by place)
SELECT suite, expectation, level, success, observed || coalesce(', first at partition:offset ' || (
    SELECT string_agg((place ->> 'partition') || ':' || (place ->> 'offset'), ', ' ORDER BY number)
    FROM jsonb_array_elements(failing_rows) WITH ORDINALITY AS first (place, number) WHERE number <= 3), '')
FROM batch.gate_results
WHERE business_date = %(business_date)s AND run_id = (
    SELECT run_id FROM batch.gate_results WHERE business_date = %(business_date)s ORDER BY checked_at DESC LIMIT 1)
ORDER BY success, level, suite, expectation;
