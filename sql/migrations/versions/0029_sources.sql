-- What order_facts has of a date: since which of its versions, and in which files (a hash of their names). As last looked at.
CREATE TABLE batch.facts_held (
    business_date date   PRIMARY KEY,
    facts_version bigint NOT NULL,
    files         text   NOT NULL
);

-- Which facts of the dates before a run's segments, or rankings, were made of: the sum of batch.print_of of each.
CREATE TABLE batch.made_of (
    run_id      text    NOT NULL REFERENCES batch.runs,
    view        text    NOT NULL,
    fingerprint numeric NOT NULL,
    PRIMARY KEY (run_id, view)
);

CREATE INDEX failed_gates ON batch.gate_results (business_date) WHERE level = 'fail' AND NOT success;
