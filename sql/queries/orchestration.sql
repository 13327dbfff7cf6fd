-- What the DAGs ask of the database. See tandem/claims.py and reconciliation/ends.py.

-- name: lock_claims
SELECT pg_advisory_xact_lock(hashtext('tandem.claims'));

-- name: claim
INSERT INTO batch.claims (business_date, holder, backend_pid, backend_started)
SELECT business_date, %(holder)s, a.pid, a.backend_start
FROM unnest(%(dates)s::date[]) AS wanted (business_date)
LEFT JOIN pg_stat_activity AS a ON %(bound_to_session)s AND a.pid = pg_backend_pid()
ON CONFLICT (business_date) DO UPDATE
SET holder = excluded.holder, backend_pid = excluded.backend_pid, backend_started = excluded.backend_started,
    claimed_at = CASE WHEN claims.holder = excluded.holder THEN claims.claimed_at ELSE now() END;

-- name: release
DELETE FROM batch.claims WHERE holder = %(holder)s;

-- name: release_of_killed   Of commands whose database session is gone. Not left until their date is claimed again: the
-- journal keeps the dates that are claimed.
DELETE FROM batch.claims AS c
WHERE backend_pid IS NOT NULL AND NOT EXISTS (
    SELECT FROM pg_stat_activity AS a
    WHERE a.pid = c.backend_pid AND a.backend_start = c.backend_started);

-- name: all_claims
SELECT business_date, holder, claimed_at FROM batch.claims ORDER BY business_date;

-- name: installed_at
SELECT installed_at FROM public.installation;

-- name: note_end
INSERT INTO reconciliation.run_ends (dag_run, business_date, reconciliation_id, failure)
VALUES (%(dag_run)s, %(business_date)s, %(reconciliation_id)s, %(failure)s)
ON CONFLICT (dag_run) DO UPDATE
SET business_date = excluded.business_date, reconciliation_id = excluded.reconciliation_id, failure = excluded.failure,
    ended_at = now(), mailed_at = NULL;

-- name: lock_ends
SELECT pg_advisory_xact_lock(hashtext('tandem.ends'));

-- name: unmailed_ends
SELECT dag_run, business_date, reconciliation_id, failure FROM reconciliation.run_ends
WHERE mailed_at IS NULL ORDER BY business_date, ended_at;

-- name: mark_ends_mailed
UPDATE reconciliation.run_ends SET mailed_at = now() WHERE dag_run = ANY (%(dag_runs)s);

-- name: is_published
SELECT EXISTS (
    SELECT FROM batch.versions
    WHERE view = 'daily_metrics' AND business_date = %(business_date)s AND superseded_at IS NULL);

-- name: release_date
DELETE FROM batch.claims WHERE business_date = %(business_date)s;
