-- A large value is compressed on its way in, in the temporary table that it is sent to, and stays so here. What does not
-- shrink would be tried again: of a megabyte, 20 ms.
ALTER TABLE speed.quarantine ALTER COLUMN value SET STORAGE EXTERNAL;
ALTER TABLE speed.outbox ALTER COLUMN value SET STORAGE EXTERNAL;
