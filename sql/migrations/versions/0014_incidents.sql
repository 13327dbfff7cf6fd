-- What people were told of by mail, until it is over: reconciliation/incidents.py.
CREATE TYPE reconciliation.severity AS ENUM ('info', 'warning', 'critical');
CREATE TABLE reconciliation.incidents (
    incident_id bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text        NOT NULL,          -- e.g. date:2017-12-23, overdue:2017-12-23, bias:revenue_cents:...
    severity    reconciliation.severity NOT NULL,   -- the most urgent that was told of it
    finding     text        NOT NULL,          -- hash of what was told last: the same is not told again
    said        text        NOT NULL,          -- that, in words
    opened_at   timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz
);
CREATE UNIQUE INDEX incidents_open ON reconciliation.incidents (name) WHERE resolved_at IS NULL;

-- What was mailed once so far is an incident too.
INSERT INTO reconciliation.incidents (name, severity, finding, said, opened_at)
SELECT notice, CASE WHEN starts_with(notice, 'bias:') THEN 'warning' ELSE 'critical' END::reconciliation.severity, '',
       replace(notice, ':', ' '), sent_at
FROM reconciliation.notices;
DROP TABLE reconciliation.notices;
