-- The last record that was read of each partition, and when the broker took it, in ms since 1970. Where Kafka has another one at that
-- offset, it was set back (stream/still_there.py). NULL until a record is read.
ALTER TABLE speed.partitions ADD COLUMN last_offset bigint, ADD COLUMN last_time_ms bigint;
