-- Views of a run that the application which wrote its facts staged too, until their own tasks have found them.
-- staged_at: NULL while it is at work, and for ever where it ended on the way.
CREATE TABLE batch.ahead (
    run_id    text NOT NULL REFERENCES batch.runs,
    view      text NOT NULL,
    staged_at timestamptz,
    PRIMARY KEY (run_id, view)
);
