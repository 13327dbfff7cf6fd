-- How the runs of a backfill ended, until one mail for all of them has told: reconciliation/ends.py.
ALTER TABLE reconciliation.digest_entries RENAME TO run_ends;
ALTER TABLE reconciliation.run_ends RENAME CONSTRAINT digest_entries_pkey TO run_ends_pkey;
ALTER TABLE reconciliation.run_ends
    RENAME CONSTRAINT digest_entries_reconciliation_id_fkey TO run_ends_reconciliation_id_fkey;
