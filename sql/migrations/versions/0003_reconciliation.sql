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
    run_id            text        NOT NULL,  -- '' where no batch run is published
    verdict           text        NOT NULL CHECK (verdict IN ('match', 'mismatch', 'not_comparable')),
    reason            text        NOT NULL DEFAULT '',  -- why not comparable, or why events could not be compared
    remedy            text        NOT NULL DEFAULT '',
    cells_compared    bigint      NOT NULL DEFAULT 0,
    cells_differing   bigint      NOT NULL DEFAULT 0,
    speed_hash        text        NOT NULL DEFAULT '',  -- of all base cells of a side: equal hashes, equal books
    batch_hash        text        NOT NULL DEFAULT '',
    compared_at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX reconciliations_by_date ON reconciliation.reconciliations (business_date, reconciliation_id);

-- Every KPI of the day, and every base cell that is not equal on both sides.
CREATE TABLE reconciliation.comparisons (
    reconciliation_id bigint NOT NULL REFERENCES reconciliation.reconciliations,
    level             text   NOT NULL CHECK (level IN ('day', 'cell')),
    cube              text   NOT NULL,       -- orders, products, categories, distinct; of a day's KPI: day
    cell_start        timestamptz NOT NULL,
    key               text   NOT NULL,
    metric            text   NOT NULL,
    batch_value       bigint,                -- NULL: the side has no such cell
    speed_value       bigint,                -- counted and corrected
    corrected         bigint NOT NULL,       -- the part of speed_value that is corrections
    allowed           bigint,                -- greatest difference that still is a match
    status            text   NOT NULL CHECK (status IN
                      ('match', 'mismatch', 'missing_in_speed', 'missing_in_batch', 'not_comparable')),
    decides           boolean NOT NULL,      -- false: below the minimum base, shown only
    PRIMARY KEY (reconciliation_id, level, cube, cell_start, key, metric)
);

-- Every event that the layers treat differently below the cut, with the one cause it has.
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
    speed_cents       bigint NOT NULL,       -- what the side booked for it, 0 where it did not count it
    batch_cents       bigint NOT NULL,
    speed_units       bigint NOT NULL,
    batch_units       bigint NOT NULL,
    cause             text   NOT NULL,
    evidence          text   NOT NULL,
    PRIMARY KEY (reconciliation_id, topic, partition, "offset")
);

-- The differences of the base cells by cause: over all causes of a cell, amount sums to batch - speed as it counted.
CREATE TABLE reconciliation.ledger (
    reconciliation_id bigint NOT NULL REFERENCES reconciliation.reconciliations,
    cube              text   NOT NULL,
    cell_start        timestamptz NOT NULL,
    key               text   NOT NULL,
    measure           text   NOT NULL,
    cause             text   NOT NULL,
    events            bigint NOT NULL,       -- 0 where no single event shows it
    amount            bigint NOT NULL,
    PRIMARY KEY (reconciliation_id, cube, cell_start, key, measure, cause)
);

-- pending: decided, perhaps on Kafka already; emitted: on Kafka for certain.
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
    reverses          text        UNIQUE REFERENCES reconciliation.corrections,
    created_at        timestamptz NOT NULL DEFAULT now(),
    decided_by        text        NOT NULL DEFAULT '',  -- who approved or reversed; '' where the rules did
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

-- Mail that was asked for. A row stays unsent until a mail server has taken it.
CREATE TABLE reconciliation.mails (
    mail_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject    text        NOT NULL,
    message    bytea       NOT NULL,
    report_ids bigint[]    NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at    timestamptz
);
