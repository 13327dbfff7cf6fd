-- Up to which event time every cell of a partition has one sketch (stream/compact.py), so that a worker that starts need not look
-- through all the hours there ever were. Without a row, or after a rebuild, all are looked through once.
CREATE TABLE speed.compacted (
    partition integer     PRIMARY KEY,
    before    timestamptz NOT NULL
);
