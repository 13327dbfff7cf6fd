-- The id that Delta gave the order_facts table when it was first written, or first since ids are noted. Versions begin at 0 in every table.
CREATE TABLE batch.facts_table (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    table_id text    NOT NULL
);
