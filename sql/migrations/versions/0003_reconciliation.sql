-- The aligned cut of a run: the offsets up to which both layers are compared, and the speed layer's cells there
-- (cut_order_hours, cut_product_hours, cut_category_hours, cut_distincts), copied in one transaction.
CREATE TABLE reconciliation.cuts (
    run_id        text        PRIMARY KEY,
    business_date date        NOT NULL,
    comparable    boolean     NOT NULL,      -- false: the speed layer had not passed the end of the date
    reason        text        NOT NULL DEFAULT '',
    lag           bigint      NOT NULL DEFAULT 0,
    rule_version  text        NOT NULL,
    taken_at      timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE reconciliation.cut_offsets (
    run_id      text    NOT NULL REFERENCES reconciliation.cuts,
    topic       text    NOT NULL,
    partition   integer NOT NULL,
    next_offset bigint  NOT NULL,
    watermark   timestamptz,
    PRIMARY KEY (run_id, topic, partition)
);
CREATE TABLE reconciliation.cut_distincts (
    run_id  text   NOT NULL REFERENCES reconciliation.cuts,
    measure text   NOT NULL,
    value   bigint NOT NULL,
    PRIMARY KEY (run_id, measure)
);

CREATE TABLE reconciliation.reconciliations (
    reconciliation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    business_date     date        NOT NULL,
    run_id            text        NOT NULL,
    verdict           text        NOT NULL CHECK (verdict IN ('match', 'mismatch', 'not_comparable')),
    reason            text        NOT NULL DEFAULT '',
    compared_at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX reconciliations_by_date ON reconciliation.reconciliations (business_date, reconciliation_id);

CREATE TABLE reconciliation.comparisons (
    reconciliation_id bigint NOT NULL REFERENCES reconciliation.reconciliations,
    level             text   NOT NULL,       -- day or cell
    cube              text   NOT NULL,
    cell_start        timestamptz NOT NULL,
    key               text   NOT NULL,
    metric            text   NOT NULL,
    batch_value       bigint,
    speed_value       bigint,
    status            text   NOT NULL,
    decides           boolean NOT NULL,
    PRIMARY KEY (reconciliation_id, level, cube, cell_start, key, metric)
);

CREATE TABLE reconciliation.discrepancies (
    reconciliation_id bigint NOT NULL REFERENCES reconciliation.reconciliations,
    topic             text   NOT NULL,
    partition         integer NOT NULL,
    "offset"          bigint NOT NULL,
    event_id          text,
    event_type        text,
    order_id          text,
    customer_id       text,
    event_time        timestamptz,
    speed_decision    text   NOT NULL,
    batch_decision    text   NOT NULL,
    speed_cents       bigint NOT NULL,
    batch_cents       bigint NOT NULL,
    cause             text   NOT NULL,
    evidence          text   NOT NULL,
    PRIMARY KEY (reconciliation_id, topic, partition, "offset")
);

CREATE TABLE reconciliation.corrections (
    correction_id     text        PRIMARY KEY,
    business_date     date        NOT NULL,
    cube              text        NOT NULL,
    cell_start        timestamptz NOT NULL,
    key               text        NOT NULL,
    measure           text        NOT NULL,
    sequence          integer     NOT NULL,  -- nth correction of this cell
    stream_value      bigint      NOT NULL,
    batch_value       bigint      NOT NULL,
    delta             bigint      NOT NULL,
    run_id            text        NOT NULL,
    reconciliation_id bigint      NOT NULL REFERENCES reconciliation.reconciliations,
    status            text        NOT NULL CHECK (status IN ('waiting_approval', 'pending', 'emitted')),
    reverses          text        REFERENCES reconciliation.corrections,
    created_at        timestamptz NOT NULL DEFAULT now(),
    emitted_at        timestamptz,
    UNIQUE (business_date, cube, cell_start, key, measure, sequence)
);

CREATE TABLE reconciliation.reports (
    report_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reconciliation_id bigint      NOT NULL REFERENCES reconciliation.reconciliations,
    business_date     date        NOT NULL,
    report            jsonb       NOT NULL,
    created_at        timestamptz NOT NULL DEFAULT now(),
    mailed_at         timestamptz
);
