-- What each allowed lateness would have made of a date that was compared: a few rows, where the journal has millions.
-- Comparisons from before have none; theirs is read from the journal, while it is kept.
CREATE TABLE reconciliation.lateness (
    reconciliation_id bigint   NOT NULL REFERENCES reconciliation.reconciliations,
    grace             interval NOT NULL,
    events            bigint   NOT NULL,    -- counted more than were (fewer: below 0)
    removed_cents     bigint   NOT NULL,    -- of gross_cents (more than there is: below 0)
    gross_cents       bigint   NOT NULL,    -- the difference: |batch - stream| over all events
    PRIMARY KEY (reconciliation_id, grace)
);
