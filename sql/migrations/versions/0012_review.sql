-- What people decided about quarantined records, once for each. A record waits in speed.quarantine, and leaves it with
-- the decision.
CREATE TABLE speed.reviews (
    topic          text        NOT NULL,
    partition      integer     NOT NULL,
    "offset"       bigint      NOT NULL,
    decision       text        NOT NULL CHECK (decision IN ('approved', 'rejected')),
    decided_by     text        NOT NULL,
    decided_at     timestamptz NOT NULL DEFAULT now(),
    note           text        NOT NULL DEFAULT '',
    reasons        text[]      NOT NULL,     -- why it was quarantined
    event_id       text,
    event_type     text,
    order_id       text,
    business_date  date,                     -- as it came
    value          bytea,                    -- as it came; NULL where rejected: only the archive has it then
    released_key   bytea,
    released_value bytea,                    -- the event that went out in its place
    released_date  date,                     -- business date under which that counts
    PRIMARY KEY (topic, partition, "offset"),
    CHECK ((decision = 'approved') = (released_value IS NOT NULL)),
    CHECK (decision = 'approved' OR value IS NULL)
);
CREATE INDEX reviews_by_date ON speed.reviews (business_date);
