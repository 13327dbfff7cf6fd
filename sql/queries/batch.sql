-- The batch layer's whole interface to the database, apart from the rows that Spark writes. Parameters are bound.

-- name: open_run   Opening a run again changes nothing.
INSERT INTO batch.runs (run_id, business_date, kind, reason, requested_by, code_version, rule_version)
VALUES (%(run_id)s, %(business_date)s, %(kind)s, %(reason)s, %(requested_by)s, %(code_version)s, %(rule_version)s)
ON CONFLICT (run_id) DO NOTHING;

-- name: run
SELECT run_id, business_date, kind, archive_version, facts_version, cut, archived FROM batch.runs
WHERE run_id = %(run_id)s;

-- name: cut_offsets
SELECT partition, next_offset FROM reconciliation.cut_offsets WHERE run_id = %(run_id)s AND topic = %(topic)s;

-- name: record_facts
UPDATE batch.runs
SET archive_version = %(archive_version)s, facts_version = %(facts_version)s, cut = %(cut)s, archived = %(archived)s
WHERE run_id = %(run_id)s;

-- name: latest_facts   The run that last wrote the facts of a date.
SELECT run_id, business_date, kind, archive_version, facts_version, cut, archived FROM batch.runs
WHERE business_date = %(business_date)s AND facts_version IS NOT NULL
ORDER BY facts_version DESC, created_at LIMIT 1;

-- name: published_dates   Dates that readers have, and how many records of each were archived below the cut: the least of
-- the views that are made of the date alone. NULL where that was not counted.
SELECT business_date, CASE WHEN bool_and(archived IS NOT NULL) THEN min(archived) END
FROM batch.versions JOIN batch.runs USING (run_id, business_date)
WHERE view IN ('daily_metrics', 'product_rankings') AND superseded_at IS NULL
GROUP BY business_date HAVING bool_or(view = 'daily_metrics');

-- name: rewritten_dates   Dates that readers have, and the run that last wrote facts of them since and was not published:
-- later dates are computed from these facts. Not while somebody works on the date.
SELECT DISTINCT ON (v.business_date) v.business_date, later.run_id
FROM batch.versions AS v JOIN batch.runs AS r USING (run_id, business_date)
JOIN batch.runs AS later ON later.business_date = v.business_date AND later.facts_version > r.facts_version
WHERE v.view = 'daily_metrics' AND v.superseded_at IS NULL AND later.kind <> 'dependent'
  AND NOT EXISTS (SELECT FROM batch.versions AS own WHERE own.run_id = later.run_id)
  AND NOT EXISTS (SELECT FROM batch.claims AS held WHERE held.business_date = v.business_date)
ORDER BY v.business_date, later.facts_version DESC;

-- name: published_facts   Dates that readers have, and the version of order_facts that each was made of.
SELECT business_date, facts_version FROM batch.versions JOIN batch.runs USING (run_id, business_date)
WHERE view = 'daily_metrics' AND superseded_at IS NULL AND facts_version IS NOT NULL;

-- name: facts_read_by_old_versions   Versions of order_facts that readers' figures are made of though the date has newer.
SELECT DISTINCT r.facts_version FROM batch.versions v JOIN batch.runs r USING (run_id, business_date)
WHERE v.view = 'daily_metrics' AND v.superseded_at IS NULL AND (
    EXISTS (SELECT FROM batch.facts_held h
            WHERE h.business_date = r.business_date AND h.facts_version > r.facts_version)
    OR EXISTS (SELECT FROM batch.runs later
               WHERE later.business_date = r.business_date AND later.facts_version > r.facts_version));

-- name: following   Dates whose segments or rankings readers have, and whether facts of dates before, of which they were
-- made, have changed.
SELECT business_date, 'rfm' AS view, stale FROM serving.rfm_dates
UNION ALL
SELECT business_date, 'product_rankings', stale FROM serving.product_rankings_dates
ORDER BY business_date, view DESC;

-- name: standing   What the published segments and rankings of some dates rest on.
SELECT business_date, 'rfm' AS view, status, reason FROM serving.rfm_dates WHERE business_date = ANY(%(dates)s)
UNION ALL
SELECT business_date, 'product_rankings', status, reason FROM serving.product_rankings_dates
WHERE business_date = ANY(%(dates)s)
ORDER BY 1, 2 DESC;

-- name: published_run   Whose figures of a date readers have.
SELECT run_id, business_date, kind, archive_version, facts_version, cut, archived FROM batch.versions
JOIN batch.runs USING (run_id, business_date)
WHERE view = %(view)s AND business_date = %(business_date)s AND superseded_at IS NULL;

-- name: facts_read   Which facts of each date up to one those after it are made of; and since when order_facts has what it has.
SELECT business_date, facts_version, held_since FROM batch.facts_read WHERE business_date <= %(last)s ORDER BY 1;

-- name: record_made_of
INSERT INTO batch.made_of (run_id, view, fingerprint)
SELECT own.run_id, %(view)s, coalesce(sum(batch.print_of(earlier.business_date, earlier.facts_version)), 0)
FROM unnest(%(run_ids)s::text[], %(dates)s::date[]) AS own (run_id, business_date)
LEFT JOIN unnest(%(read)s::date[], %(versions)s::bigint[]) AS earlier (business_date, facts_version)
    ON earlier.business_date < own.business_date
       AND (%(back)s::integer IS NULL OR earlier.business_date >= own.business_date - %(back)s::integer)
GROUP BY own.run_id
ON CONFLICT (run_id, view) DO UPDATE SET fingerprint = excluded.fingerprint;

-- name: facts_table   The id of the table that versions of order_facts are of, and the newest that a run has written.
SELECT table_id, (SELECT max(facts_version) FROM batch.runs) FROM batch.facts_table;

-- name: note_facts_table
INSERT INTO batch.facts_table (table_id) VALUES (%(table_id)s) ON CONFLICT DO NOTHING;

-- name: forget_facts   All that is known of a table which is gone. What a gate found of its facts covers no others.
WITH gone AS (DELETE FROM batch.facts_table), held AS (DELETE FROM batch.facts_held), made AS (DELETE FROM batch.made_of),
staged AS (UPDATE batch.staged SET facts_version = NULL),
checked AS (UPDATE batch.gate_results SET facts_version = -1 WHERE facts_version IS NOT NULL)
UPDATE batch.runs SET facts_version = NULL WHERE facts_version IS NOT NULL;

-- name: without_facts   Dates that readers have, whose facts were in a table that is gone.
SELECT business_date FROM batch.versions JOIN batch.runs USING (run_id, business_date)
WHERE view = 'daily_metrics' AND superseded_at IS NULL AND facts_version IS NULL;

-- name: facts_held
SELECT business_date, facts_version, files FROM batch.facts_held;

-- name: facts_noted   The newest version up to one that a run has put of its date.
SELECT business_date, max(facts_version) FROM batch.runs
WHERE kind <> 'dependent' AND facts_version <= %(version)s GROUP BY business_date;

-- name: hold_facts   Whoever has looked at an older version changes nothing.
INSERT INTO batch.facts_held AS held (business_date, facts_version, files)
VALUES (%(business_date)s, %(facts_version)s, %(files)s)
ON CONFLICT (business_date) DO UPDATE SET facts_version = excluded.facts_version, files = excluded.files
WHERE held.facts_version <= excluded.facts_version OR held.files = excluded.files;

-- name: let_facts_go
DELETE FROM batch.facts_held WHERE business_date = ANY(%(dates)s) AND facts_version <= %(version)s;

-- name: forget_staged
DELETE FROM batch.staged WHERE run_id = ANY(%(run_ids)s) AND table_name = %(table)s;

-- name: record_staged   Written after the rows: what was killed half-way is not staged. Of the facts that were read, or else
-- of those that the run has.
INSERT INTO batch.staged (run_id, table_name, facts_version)
SELECT run_id, %(table)s, coalesce(read.facts_version, r.facts_version)
FROM unnest(%(run_ids)s::text[], %(versions)s::bigint[]) AS read (run_id, facts_version) JOIN batch.runs AS r USING (run_id);

-- name: forget_views   What was staged of facts that are about to be written again. What ended on the way stays noted.
WITH ahead AS (DELETE FROM batch.ahead WHERE run_id = ANY(%(run_ids)s) AND staged_at IS NOT NULL)
DELETE FROM batch.staged WHERE run_id = ANY(%(run_ids)s);

-- name: begin_ahead   No row where it was begun before and neither finished nor looked for: it may have ended Spark.
INSERT INTO batch.ahead (run_id, view) SELECT unnest(%(run_ids)s::text[]), %(view)s ON CONFLICT DO NOTHING;

-- name: finish_ahead
UPDATE batch.ahead SET staged_at = now() WHERE run_id = ANY(%(run_ids)s) AND view = %(view)s;

-- name: take_ahead
DELETE FROM batch.ahead WHERE run_id = %(run_id)s AND view = %(view)s RETURNING staged_at IS NOT NULL;

-- name: publications   Under which versions a run was ever published.
SELECT view, version FROM batch.versions WHERE run_id = %(run_id)s ORDER BY view;

-- name: hold_publication   Nobody publishes these dates until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('tandem.publish:' || day)) FROM unnest(%(dates)s::date[]) AS day ORDER BY day;

-- name: any_published   A row where one of the runs was ever published in a view.
SELECT run_id FROM batch.versions WHERE run_id = ANY(%(run_ids)s) AND view = %(view)s LIMIT 1;

-- name: lock_date
SELECT pg_advisory_xact_lock(hashtext('tandem.publish:' || %(business_date)s));

-- name: not_staged   Rows of other facts than the run has by now are none.
SELECT wanted FROM unnest(%(tables)s::text[]) AS wanted
WHERE NOT EXISTS (SELECT FROM batch.staged AS s JOIN batch.runs AS r USING (run_id)
                  WHERE run_id = %(run_id)s AND table_name = wanted
                    AND s.facts_version IS NOT DISTINCT FROM r.facts_version);

-- name: checked   What a gate found of the very facts that a run has, the expectations that failed: its own gate, or that of a
-- run whose facts it took over as they were. No row where none has checked them.
SELECT coalesce(array_agg(expectation ORDER BY expectation) FILTER (WHERE level = 'fail' AND NOT success), '{}')
FROM batch.runs AS own
JOIN batch.runs AS r ON r.business_date = own.business_date AND (r.run_id = own.run_id
    OR (r.facts_version = own.facts_version AND r.cut IS NOT DISTINCT FROM own.cut))
JOIN batch.gate_results AS g ON g.run_id = r.run_id AND g.business_date = own.business_date
    AND g.facts_version IS NOT DISTINCT FROM own.facts_version
WHERE own.run_id = %(run_id)s
GROUP BY r.run_id, own.run_id ORDER BY r.run_id = own.run_id DESC, max(g.checked_at) DESC LIMIT 1;

-- name: current_version
SELECT version, run_id FROM batch.versions
WHERE view = %(view)s AND business_date = %(business_date)s AND superseded_at IS NULL;

-- name: version_of_run
SELECT version FROM batch.versions
WHERE view = %(view)s AND business_date = %(business_date)s AND run_id = %(run_id)s;

-- name: began_before   A row where a run began before another one.
SELECT true FROM batch.runs AS own JOIN batch.runs AS other ON other.run_id = %(other)s
WHERE own.run_id = %(run_id)s AND own.created_at < other.created_at;

-- name: reads_less   A partition of which a run read less than another one: up to which offset each. None where nothing is
-- known of what one of them read.
SELECT partition::integer, coalesce((own.cut ->> partition)::bigint, 0), next_offset::bigint
FROM batch.runs AS own JOIN batch.runs AS other ON other.run_id = %(other)s
CROSS JOIN jsonb_each_text(other.cut) AS read (partition, next_offset)
WHERE own.run_id = %(run_id)s AND own.cut IS NOT NULL AND coalesce((own.cut ->> partition)::bigint, 0) < next_offset::bigint
ORDER BY 1 LIMIT 1;

-- name: supersede
UPDATE batch.versions SET superseded_at = now()
WHERE view = %(view)s AND business_date = %(business_date)s AND superseded_at IS NULL;

-- name: insert_version
INSERT INTO batch.versions (view, business_date, version, run_id, published_by)
SELECT %(view)s, %(business_date)s, coalesce(max(version), 0) + 1, %(run_id)s, %(published_by)s
FROM batch.versions WHERE view = %(view)s AND business_date = %(business_date)s
RETURNING version;

-- name: history   Every version of a date, oldest first.
SELECT * FROM serving.history WHERE business_date = %(business_date)s ORDER BY view, version;

-- name: to_prune   Versions that nobody reads any more, whose rows are still there.
SELECT view, business_date, version, run_id FROM batch.versions AS v
WHERE superseded_at < %(before)s AND pruned_at IS NULL
  AND NOT EXISTS (SELECT FROM batch.versions AS o
                  WHERE o.view = v.view AND o.run_id = v.run_id AND (o.superseded_at IS NULL OR o.superseded_at >= %(before)s))
ORDER BY business_date, view, version FOR UPDATE;

-- name: never_published   Runs that began before an instant, hold rows, and were never published in any view.
SELECT run_id FROM batch.runs AS r
WHERE created_at < %(before)s AND EXISTS (SELECT FROM batch.staged AS s WHERE s.run_id = r.run_id)
  AND NOT EXISTS (SELECT FROM batch.versions AS v WHERE v.run_id = r.run_id)
  AND NOT EXISTS (SELECT FROM batch.claims AS c WHERE c.business_date = r.business_date)
ORDER BY run_id;

-- name: mark_pruned
UPDATE batch.versions SET pruned_at = now() WHERE view = %(view)s AND run_id = ANY(%(run_ids)s);

-- name: gate_page   The results of a run, by default of the date's last run that has any.
SELECT run_id, suite, expectation, level, success, observed, failing_rows, checked_at FROM batch.gate_results
WHERE business_date = %(business_date)s AND run_id = coalesce(%(run_id)s::text, (
    SELECT run_id FROM batch.runs JOIN batch.gate_results AS any_of USING (run_id)
    WHERE runs.business_date = %(business_date)s ORDER BY created_at DESC LIMIT 1));

-- name: record_gate_result   Checking again replaces what was found before.
INSERT INTO batch.gate_results
    (run_id, business_date, suite, expectation, level, success, observed, failing_rows, facts_version, checked_at)
VALUES (%(run_id)s, %(business_date)s, %(suite)s, %(expectation)s, %(level)s, %(success)s, %(observed)s, %(failing_rows)s,
        %(facts_version)s, now())
ON CONFLICT (run_id, business_date, suite, expectation) DO UPDATE
SET level = excluded.level, success = excluded.success, observed = excluded.observed, facts_version = excluded.facts_version,
    failing_rows = excluded.failing_rows, checked_at = excluded.checked_at;
