-- Scheduled runs for days before this are not missing: nothing was listening then.
ALTER TABLE public.installation ADD COLUMN installed_at timestamptz NOT NULL DEFAULT now();

-- Who works on a business date at the moment: at most one run, whatever started it.
CREATE TABLE batch.claims (
    business_date   date        PRIMARY KEY,
    holder          text        NOT NULL,    -- airflow:<dag id>:<run id>, or command:<host>:<process id>
    backend_pid     integer,                 -- a command holds it as long as this database session lives
    backend_started timestamptz,
    claimed_at      timestamptz NOT NULL DEFAULT now()
);

-- How the runs of a backfill ended, until one mail for all of them has told.
CREATE TABLE reconciliation.digest_entries (
    dag_run           text        PRIMARY KEY,
    business_date     date        NOT NULL,
    reconciliation_id bigint      REFERENCES reconciliation.reconciliations,
    failure           text        NOT NULL DEFAULT '',   -- the tasks that failed; '' where none did
    ended_at          timestamptz NOT NULL DEFAULT now(),
    mailed_at         timestamptz
);
-- Mails that are sent once, however often their task runs.
CREATE TABLE reconciliation.notices (
    notice  text        PRIMARY KEY,         -- e.g. overdue:2017-12-23
    sent_at timestamptz NOT NULL DEFAULT now()
);
