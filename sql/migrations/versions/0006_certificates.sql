-- What a comparison and its corrections came to, with the digests of both books: reconciliation/certificate.py.
-- A reconciliation has a new one whenever corrections of it were approved or reversed; the newest counts.
CREATE TABLE reconciliation.certificates (
    certificate_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reconciliation_id bigint      NOT NULL REFERENCES reconciliation.reconciliations,
    certificate       jsonb       NOT NULL,
    issued_at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX certificates_by_reconciliation ON reconciliation.certificates (reconciliation_id, certificate_id);
