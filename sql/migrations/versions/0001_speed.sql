CREATE SCHEMA speed;
CREATE SCHEMA batch;
CREATE SCHEMA reconciliation;
CREATE SCHEMA serving;

COMMENT ON SCHEMA speed IS 'What the stream has counted, within a second. Written by tandem_speed only.';
COMMENT ON SCHEMA batch IS 'What Spark has computed from the archive, by run. Written by tandem_batch only.';
COMMENT ON SCHEMA reconciliation IS 'Cuts, comparisons, causes, corrections, reports. Written by tandem_reconciliation only.';
COMMENT ON SCHEMA serving IS 'The one place to query. Views only.';

-- One row per installation: what must not change once data exists.
CREATE TABLE public.installation (
    only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    business_timezone text NOT NULL,
    currency          text NOT NULL
);

-- The truth about progress. Kafka's own commits only show the lag.
CREATE TABLE speed.partitions (
    topic       text        NOT NULL,
    partition   integer     NOT NULL,
    next_offset bigint      NOT NULL,
    epoch       bigint      NOT NULL DEFAULT 0,
    worker      text,
    watermark   timestamptz,          -- greatest event_time of accepted events
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition)
);

-- One row per customer and date with a created order, so that the daily count of customers is exact.
CREATE TABLE speed.customer_days (
    business_date date    NOT NULL,
    customer_id   text    NOT NULL,
    partition     integer NOT NULL,
    order_count   bigint  NOT NULL,
    revenue_cents bigint  NOT NULL,
    PRIMARY KEY (business_date, customer_id, partition)
);

-- Named, counted outputs: every record of order-events ends in exactly one decision.
CREATE TABLE speed.outcomes (
    pane_start timestamptz,           -- hour of the event time; NULL where it could not be read
    partition  integer NOT NULL,
    decision   text    NOT NULL CHECK (decision IN ('ignored', 'quarantined', 'duplicate', 'late', 'counted')),
    reason     text    NOT NULL,      -- check codes joined by commas, '' where none failed
    events     bigint  NOT NULL,
    UNIQUE NULLS NOT DISTINCT (pane_start, partition, decision, reason)
);

-- What was decided for every record: one Arrow IPC segment (zstd) per partition and micro-batch.
CREATE TABLE speed.journal (
    topic             text        NOT NULL,
    partition         integer     NOT NULL,
    first_offset      bigint      NOT NULL,
    next_offset       bigint      NOT NULL,  -- of one segment = first_offset of the next: segments abut
    events            integer     NOT NULL,
    min_business_date date,
    max_business_date date,
    max_accepted_time timestamptz,           -- greatest event_time accepted in the segment
    watermark_before  timestamptz,
    watermark_after   timestamptz,
    epoch             bigint      NOT NULL,
    rule_version      text        NOT NULL,
    processed_at      timestamptz NOT NULL DEFAULT now(),
    segment           bytea       NOT NULL,
    PRIMARY KEY (topic, partition, first_offset),
    CHECK (next_offset > first_offset)
);
ALTER TABLE speed.journal ALTER COLUMN segment SET STORAGE EXTERNAL;  -- it is compressed already
CREATE INDEX journal_by_date ON speed.journal (min_business_date, max_business_date);

CREATE TABLE speed.quarantine (
    topic          text        NOT NULL,
    partition      integer     NOT NULL,
    "offset"       bigint      NOT NULL,
    kafka_time     timestamptz NOT NULL,
    key            bytea,
    value          bytea,                    -- the whole event as it came
    reasons        text[]      NOT NULL,
    event_id       text,
    event_type     text,
    event_time     timestamptz,
    order_id       text,
    customer_id    text,
    business_date  date,
    quarantined_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition, "offset")
);
CREATE INDEX quarantine_by_date ON speed.quarantine (business_date);

-- Corrections from reconciliation, applied beside the running values and never over them.
CREATE TABLE speed.adjustments (
    correction_id text        PRIMARY KEY,
    business_date date        NOT NULL,
    cube          text        NOT NULL,      -- orders, products, categories; or distinct
    cell_start    timestamptz NOT NULL,      -- start of the hour; of the date for distinct
    key           text        NOT NULL,      -- product_id or category; '' where the cube has no dimension
    measure       text        NOT NULL,
    delta         bigint      NOT NULL,
    stream_value  bigint      NOT NULL,
    batch_value   bigint      NOT NULL,
    run_id        text        NOT NULL,
    reverses      text,
    partition     integer     NOT NULL,
    "offset"      bigint      NOT NULL,
    applied_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX adjustments_by_date ON speed.adjustments (business_date, cube);

-- What must still go out to Kafka. Rows leave once the broker has acknowledged them.
CREATE TABLE speed.outbox (
    message_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dedupe_id  text        NOT NULL UNIQUE,  -- deterministic; goes out as the header message_id
    topic      text        NOT NULL,
    key        bytea,
    value      bytea,
    created_at timestamptz NOT NULL DEFAULT now()
);
