-- Occurrences of the declared patterns (tandem/patterns.py).
CREATE TABLE speed.alerts (
    alert_id    text        PRIMARY KEY,      -- pattern:partition:offset of the event that completes it
    pattern     text        NOT NULL,
    severity    text        NOT NULL,
    customer_id text        NOT NULL,
    event_id    text        NOT NULL,
    order_id    text        NOT NULL,
    event_time  timestamptz NOT NULL,
    partition   integer     NOT NULL,
    "offset"    bigint      NOT NULL,
    facts       jsonb       NOT NULL,         -- what the pattern's condition looked at
    detected_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX alerts_by_time ON speed.alerts (event_time);
CREATE INDEX alerts_by_customer ON speed.alerts (customer_id);

-- How records were judged, by five minutes of event time; of the broker's time where that is missing or in the future.
CREATE TABLE speed.quality (
    pane_start timestamptz NOT NULL,
    partition  integer     NOT NULL,
    decision   text        NOT NULL,
    reasons    text        NOT NULL,          -- check codes joined by commas, '' where none failed
    events     bigint      NOT NULL,
    PRIMARY KEY (pane_start, partition, decision, reasons)
) WITH (fillfactor = 70);

-- The offsets up to which everything that changed has gone out to the state topics.
CREATE TABLE speed.published (
    topic       text    NOT NULL,
    partition   integer NOT NULL,
    next_offset bigint  NOT NULL,
    PRIMARY KEY (topic, partition)
);

-- Whoever holds this row sends to the state topics, one worker at a time.
CREATE TABLE speed.publisher (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    worker   text                             -- who sent last, and has no successor yet
);
INSERT INTO speed.publisher DEFAULT VALUES;
