-- Where the speed layer began to read a partition: a rebuild begins there too.
ALTER TABLE speed.partitions ADD COLUMN first_offset bigint;
UPDATE speed.partitions AS p SET first_offset = (SELECT min(first_offset) FROM speed.journal AS j
                                                 WHERE j.topic = p.topic AND j.partition = p.partition);
