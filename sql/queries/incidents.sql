-- What people were told of by mail and is not over: reconciliation/incidents.py.

-- name: open  (returns a row where that is news: nothing was open under the name, or something else was said of it)
INSERT INTO reconciliation.incidents AS known (name, severity, finding, said)
VALUES (%(name)s, %(severity)s, %(finding)s, %(said)s)
ON CONFLICT (name) WHERE resolved_at IS NULL DO UPDATE
SET severity = greatest(known.severity, excluded.severity), finding = excluded.finding, said = excluded.said
WHERE known.finding <> excluded.finding
RETURNING incident_id;

-- name: resolve  (with an instant only what was opened before it)
UPDATE reconciliation.incidents SET resolved_at = now() WHERE resolved_at IS NULL AND name = ANY(%(names)s::text[])
    AND opened_at < coalesce(%(before)s::timestamptz, 'infinity')
RETURNING name, severity::text, said, opened_at;

-- name: resolve_others  (of a kind, all that are not named)
UPDATE reconciliation.incidents SET resolved_at = now()
WHERE resolved_at IS NULL AND starts_with(name, %(prefix)s) AND name <> ALL(%(names)s::text[])
RETURNING name, severity::text, said, opened_at;

-- name: open_ones  (of a kind; all where it is empty)
SELECT name, severity::text, said, opened_at FROM reconciliation.incidents
WHERE resolved_at IS NULL AND starts_with(name, %(prefix)s) ORDER BY opened_at, name;
