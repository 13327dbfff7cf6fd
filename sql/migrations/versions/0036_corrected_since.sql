-- Every published date, and why it still needs the stream's journal; NULL where it does not. It shows no figure. Corrections of an
-- earlier comparison of the same figures, let go after the newest, are those of the newest too.
CREATE OR REPLACE VIEW reconciliation.journal_needs AS
SELECT v.business_date,
       CASE
           WHEN EXISTS (SELECT FROM batch.claims AS c WHERE c.business_date = v.business_date)
               THEN 'a run is at work on it'
           WHEN newest.reconciliation_id IS NULL THEN 'it was never compared'
           WHEN newest.run_id <> v.run_id THEN 'its last version is not compared'
           WHEN newest.verdict = 'not_comparable' THEN 'it could not be compared'
           WHEN EXISTS (SELECT FROM reconciliation.corrections AS c
                        WHERE c.business_date = v.business_date AND c.status = 'waiting_approval')
               THEN 'corrections of it wait for approval'
           WHEN EXISTS (SELECT FROM reconciliation.corrections AS c
                        WHERE c.business_date = v.business_date AND NOT EXISTS (
                            SELECT FROM speed.adjustments AS a
                            WHERE a.correction_id = c.correction_id AND a.delta = c.delta))
               THEN 'corrections of it are on their way'
           WHEN newest.verdict = 'mismatch' AND NOT EXISTS (
               SELECT FROM reconciliation.corrections AS c WHERE c.business_date = v.business_date
                      AND (c.reconciliation_id = newest.reconciliation_id
                           OR (c.decided_at > newest.compared_at AND c.reverses IS NULL AND c.run_id = newest.run_id)))
               THEN 'it differs and was not corrected'
           WHEN NOT EXISTS (SELECT FROM reconciliation.certificates AS c
                            WHERE c.reconciliation_id = newest.reconciliation_id)
               THEN 'it has no certificate'
           WHEN EXISTS (SELECT FROM reconciliation.incidents AS i
                        WHERE i.resolved_at IS NULL AND right(i.name, 10) = v.business_date::text)
               THEN 'an incident of it is open'
       END AS why
FROM batch.versions AS v
LEFT JOIN LATERAL (
    SELECT reconciliation_id, run_id, verdict, compared_at FROM reconciliation.reconciliations AS r
    WHERE r.business_date = v.business_date ORDER BY reconciliation_id DESC LIMIT 1
) AS newest ON true
WHERE v.view = 'daily_metrics' AND v.superseded_at IS NULL;
