-- What other lateness would have made of the last dates.

-- name: compared_dates  (the newest comparison of each of the last dates that had a result)
SELECT business_date, reconciliation_id, run_id FROM (
    SELECT DISTINCT ON (business_date) business_date, reconciliation_id, run_id FROM reconciliation.reconciliations
    WHERE business_date <= %(business_date)s AND verdict <> 'not_comparable'
    ORDER BY business_date DESC, reconciliation_id DESC LIMIT %(days)s) AS newest
ORDER BY business_date;

-- name: kept  (what other lateness would have made of a date, as it was worked out when the date was compared)
SELECT grace, events, removed_cents, gross_cents FROM reconciliation.lateness
WHERE reconciliation_id = %(reconciliation_id)s;

-- name: copy_curve
COPY reconciliation.lateness (reconciliation_id, grace, events, removed_cents, gross_cents) FROM STDIN;

-- name: differing  (what each layer booked for the events that differ)
SELECT partition, "offset", speed_cents, batch_cents FROM reconciliation.discrepancies
WHERE topic = %(topic)s AND reconciliation_id = %(reconciliation_id)s;
