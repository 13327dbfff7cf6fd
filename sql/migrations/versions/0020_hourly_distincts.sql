-- How many different values a roll-up saw in an hour (tandem/rollups.py), each layer by sketches of one size of its own.
CREATE TABLE batch.hourly_distincts (
    run_id        text        NOT NULL,
    business_date date        NOT NULL,
    cell_start    timestamptz NOT NULL,  -- start of the hour
    rollup        text        NOT NULL,
    key           text        NOT NULL,
    counted       text        NOT NULL,  -- customers, products
    value         bigint      NOT NULL,
    PRIMARY KEY (run_id, cell_start, rollup, key, counted)
);
CREATE TABLE reconciliation.cut_hourly_distincts (
    run_id     text        NOT NULL REFERENCES reconciliation.cuts,
    cell_start timestamptz NOT NULL,
    rollup     text        NOT NULL,
    key        text        NOT NULL,
    counted    text        NOT NULL,
    value      bigint      NOT NULL,
    PRIMARY KEY (run_id, cell_start, rollup, key, counted)
);

ALTER TABLE reconciliation.agreement DROP CONSTRAINT agreement_subject_check;
ALTER TABLE reconciliation.agreement ADD CONSTRAINT agreement_subject_check
    CHECK (subject IN ('products', 'customers', 'distincts'));
COMMENT ON COLUMN reconciliation.agreement.apart IS 'ranks, on average; of distincts: a share of 1';

-- Runs of Airflow were recorded under the name in its code: DagRunType.BACKFILL.
UPDATE batch.runs SET kind = lower(substr(kind, length('DagRunType.') + 1)) WHERE left(kind, length('DagRunType.')) = 'DagRunType.';
