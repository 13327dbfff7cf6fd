-- Of a segment that was merged from those of several micro-batches: where each of them began, and when it was processed.
-- NULL of one that was not.
ALTER TABLE speed.journal
    ADD COLUMN batch_offsets bigint[],
    ADD COLUMN batch_times   timestamptz[],
    ADD CHECK (cardinality(batch_offsets) = cardinality(batch_times));

-- Those that may be merged; most are, so that few are in it.
CREATE INDEX journal_small ON speed.journal (topic, partition, first_offset) WHERE events < 1000;
