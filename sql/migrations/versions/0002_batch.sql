-- A run computes views of one business date from the archive below a cut.
CREATE TABLE batch.runs (
    run_id          text        PRIMARY KEY,
    business_date   date        NOT NULL,
    kind            text        NOT NULL,    -- why it was made: see spark_jobs/runs.py
    reason          text        NOT NULL DEFAULT '',    -- which of its kind: Airflow's run id, the command, what came late
    requested_by    text        NOT NULL DEFAULT '',
    code_version    text        NOT NULL,
    rule_version    text        NOT NULL,
    archive_version bigint,                  -- Delta version of the master dataset that was read
    facts_version   bigint,                  -- Delta version of order_facts that holds the date
    cut             jsonb,                   -- {"<partition>": next_offset}
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX runs_by_date ON batch.runs (business_date, created_at);

-- Which tables hold all the rows of a run, be they none; noted after the rows were written.
CREATE TABLE batch.staged (
    run_id     text        NOT NULL REFERENCES batch.runs,
    table_name text        NOT NULL,
    staged_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, table_name)
);

-- Which run readers see, per view and date. Publication flips it in one transaction; the rows stay as history.
CREATE TABLE batch.versions (
    view          text        NOT NULL CHECK (view IN ('daily_metrics', 'rfm', 'product_rankings')),
    business_date date        NOT NULL,
    version       integer     NOT NULL,
    run_id        text        NOT NULL REFERENCES batch.runs,
    published_at  timestamptz NOT NULL DEFAULT now(),
    published_by  text        NOT NULL DEFAULT '',
    superseded_at timestamptz,
    PRIMARY KEY (view, business_date, version)
);
CREATE UNIQUE INDEX one_current_version ON batch.versions (view, business_date) WHERE superseded_at IS NULL;

CREATE TABLE batch.rfm (
    run_id            text    NOT NULL,
    business_date     date    NOT NULL,
    customer_id       text    NOT NULL,
    recency_days      integer NOT NULL,
    frequency         bigint  NOT NULL,
    monetary_cents    bigint  NOT NULL,      -- average order value, rounded half up
    recency_score     smallint NOT NULL CHECK (recency_score BETWEEN 1 AND 5),
    frequency_score   smallint NOT NULL CHECK (frequency_score BETWEEN 1 AND 5),
    monetary_score    smallint NOT NULL CHECK (monetary_score BETWEEN 1 AND 5),
    grid              text    NOT NULL,      -- five or ten
    grid_version      text    NOT NULL,
    segment           text    NOT NULL,
    previous_segment  text,                  -- as of the day before; NULL for a new customer
    flags             text    NOT NULL DEFAULT '',  -- e.g. small_population, few_values:frequency
    PRIMARY KEY (run_id, business_date, grid, customer_id)
);

CREATE TABLE batch.product_rankings (
    run_id           text   NOT NULL,
    business_date    date   NOT NULL,
    scope            text   NOT NULL,        -- overall or category
    scope_key        text   NOT NULL,        -- '' or the category
    measure          text   NOT NULL,        -- revenue_cents, units, order_count, buyers
    product_id       text   NOT NULL,
    category         text   NOT NULL,
    value            bigint,                 -- net of cancellations; NULL for DROPPED
    rank             integer,
    previous_rank    integer,
    rank_change      integer,                -- positive: moved up
    movement         text   NOT NULL CHECK (movement IN ('NEW', 'DROPPED', 'UP', 'DOWN', 'SAME')),
    share            double precision,
    cumulative_share double precision,
    PRIMARY KEY (run_id, business_date, scope, scope_key, measure, product_id)
);

CREATE TABLE batch.gate_results (
    run_id        text        NOT NULL,
    business_date date        NOT NULL,
    suite         text        NOT NULL,
    expectation   text        NOT NULL,
    level         text        NOT NULL CHECK (level IN ('warn', 'fail')),
    success       boolean     NOT NULL,
    observed      text        NOT NULL DEFAULT '',
    failing_rows  jsonb       NOT NULL DEFAULT '[]',
    checked_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, business_date, suite, expectation)
);
