-- How far the layers agree on what is no sum: the first of a ranking of products, and what each customer comes to.
-- Comparisons from before have none.
CREATE TABLE reconciliation.agreement (
    reconciliation_id bigint           NOT NULL REFERENCES reconciliation.reconciliations,
    subject           text             NOT NULL CHECK (subject IN ('products', 'customers')),
    measure           text             NOT NULL,
    top               integer          NOT NULL,    -- of a ranking; 0 for customers
    compared          bigint           NOT NULL,
    alike             bigint           NOT NULL,
    apart             double precision,             -- ranks, on average
    status            text             NOT NULL CHECK (status IN ('match', 'mismatch', 'missing_in_speed', 'missing_in_batch')),
    PRIMARY KEY (reconciliation_id, subject, measure, top)
);
