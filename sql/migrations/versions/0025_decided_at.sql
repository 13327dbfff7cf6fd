-- By the rules or by a person; NULL while it waits for one.
ALTER TABLE reconciliation.corrections ADD COLUMN decided_at timestamptz;
UPDATE reconciliation.corrections SET decided_at = coalesce(emitted_at, created_at) WHERE status <> 'waiting_approval';

-- One that the stream has booked and that a restored backup does not know belongs to no comparison.
ALTER TABLE reconciliation.corrections ALTER COLUMN reconciliation_id DROP NOT NULL;

-- How many swaps of rebuilt figures the cut's snapshot holds.
ALTER TABLE reconciliation.cuts ADD COLUMN rebuilds bigint NOT NULL DEFAULT 0;
UPDATE reconciliation.cuts SET rebuilds = (SELECT count(*) FROM speed.rebuilds WHERE swapped_at <= taken_at);
