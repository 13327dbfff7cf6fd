-- What a replay asks of the table that sql/sources/table.sql.jinja builds from a user's file (DuckDB).

-- name: lines
SELECT * FROM stream WHERE at_us >= $start_us AND at_us < $end_us;

-- name: size
SELECT count(DISTINCT event_id) FROM stream WHERE at_us >= $start_us AND at_us < $end_us;

-- name: rejected
SELECT count(*), count(DISTINCT order_id) FROM rejects;

-- name: rejects
SELECT line, last_line, order_id, reason FROM rejects ORDER BY line LIMIT $at_most;
