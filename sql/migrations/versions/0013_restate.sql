-- How many records of its date the archive had below the run's cut: where it has more now, the date is to be restated.
ALTER TABLE batch.runs ADD COLUMN archived bigint;
