-- Orders of a customer with less than 30 minutes between one and the next. A late order may still change it, until the
-- partition's watermark is more than the allowed lateness and the gap past its end.
CREATE TABLE speed.sessions (
    partition       integer     NOT NULL,
    customer_id     text        NOT NULL,
    session_start   timestamptz NOT NULL,
    session_end     timestamptz NOT NULL,   -- event time of the last order
    order_count     bigint      NOT NULL,
    revenue_cents   bigint      NOT NULL,
    max_order_cents bigint      NOT NULL,
    categories      text[]      NOT NULL,   -- distinct and sorted
    PRIMARY KEY (partition, customer_id, session_start)
) WITH (fillfactor = 80);
-- For retention. Unlike a b-tree it leaves updates of the column cheap (HOT).
CREATE INDEX sessions_by_end ON speed.sessions USING brin (session_end) WITH (pages_per_range = 32, autosummarize = on);

-- Customers' orders by the minute, as arrays beside each other: a row per partition, minute and micro-batch, because a row
-- per customer and minute would be most of what the stream writes. Expires after TANDEM_MOVING_AVERAGE_RETENTION.
CREATE TABLE speed.customer_minutes (
    partition      integer     NOT NULL,
    pane_start     timestamptz NOT NULL,
    first_offset   bigint      NOT NULL,    -- of the orders in the row
    customer_ids   text[]      NOT NULL,
    order_counts   bigint[]    NOT NULL,
    revenues_cents bigint[]    NOT NULL,
    PRIMARY KEY (partition, pane_start, first_offset)
);
