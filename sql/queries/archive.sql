-- What the archiver asks of the database.

-- name: cut_offsets
SELECT partition, next_offset FROM reconciliation.cut_offsets WHERE run_id = %(run_id)s AND topic = %(topic)s;
