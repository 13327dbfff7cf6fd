-- Of a version that was superseded long ago only its daily figures are kept: spark_jobs/history.py.
ALTER TABLE batch.versions ADD COLUMN pruned_at timestamptz;

-- What was computed by hand to look at is a kind of its own: it says nothing of a date, whatever its gates found.
UPDATE batch.runs AS r SET kind = 'trial'
WHERE kind = 'recompute' AND right(reason, 7) = 'by hand'
      AND NOT EXISTS (SELECT FROM batch.versions AS v WHERE v.run_id = r.run_id);
