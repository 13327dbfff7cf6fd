-- Theta sketches of how many different values a roll-up saw in an hour (tandem/rollups.py). A micro-batch adds a row per
-- cell; the rows of a cell merge into one sketch, in any order.
CREATE TABLE speed.sketches (
    partition    integer     NOT NULL,
    cell_start   timestamptz NOT NULL,  -- start of the hour
    rollup       text        NOT NULL,
    key          text        NOT NULL,
    counted      text        NOT NULL,  -- customers, products
    first_offset bigint      NOT NULL,  -- of the micro-batch: what tells rows of a cell apart
    sketch       bytea       NOT NULL,
    PRIMARY KEY (partition, cell_start, rollup, key, counted, first_offset)
);
ALTER TABLE speed.sketches ALTER COLUMN sketch SET STORAGE EXTERNAL;  -- hashes do not compress
CREATE INDEX sketches_by_cell ON speed.sketches (rollup, cell_start);

-- What a clock decided about idle partitions, with the offset at which it did, so that a rebuild of the log can read it.
-- A partition is idle while it has a mark at its next offset; from that offset on it is held to be as far as the mark.
CREATE TABLE speed.idle_marks (
    partition   integer     NOT NULL,
    next_offset bigint      NOT NULL,
    up_to       timestamptz,            -- NULL: no further than its watermark
    PRIMARY KEY (partition, next_offset)
);

-- Every hour that began before ``closed_before`` is final, because every partition is at least as far as ``up_to``.
CREATE TABLE speed.finality (
    only_row      boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    up_to         timestamptz NOT NULL,
    previously    timestamptz,
    closed_before timestamptz NOT NULL
);
