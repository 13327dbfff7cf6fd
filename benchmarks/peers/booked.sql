-- What both layers booked, as rows of Postgres.
CREATE UNLOGGED TABLE booked_by_speed (
    partition integer NOT NULL, "offset" bigint NOT NULL, order_id text NOT NULL, event_type text NOT NULL,
    cents bigint NOT NULL, units bigint NOT NULL, customer_id text NOT NULL, hour timestamptz NOT NULL
);
CREATE UNLOGGED TABLE booked_by_batch (LIKE booked_by_speed);
