-- Of which version of order_facts the results are.
ALTER TABLE batch.gate_results ADD COLUMN facts_version bigint;
UPDATE batch.gate_results AS g SET facts_version = r.facts_version FROM batch.runs AS r WHERE r.run_id = g.run_id;

-- Of which version of order_facts the rows were made.
ALTER TABLE batch.staged ADD COLUMN facts_version bigint;
UPDATE batch.staged AS s SET facts_version = r.facts_version FROM batch.runs AS r WHERE r.run_id = s.run_id;
