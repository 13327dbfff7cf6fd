-- The first business date of which a table of the speed layer has all of a measure: '-infinity' where it was there from the
-- first event on, 'infinity' where it never has all, as a running total of all time that began without it. Exactly the
-- declared measures have a row (sql/declared/cubes.sql.jinja).
CREATE TABLE speed.measures_since (
    table_name text NOT NULL,
    measure    text NOT NULL,
    since      date NOT NULL,
    PRIMARY KEY (table_name, measure)
);

-- Which of those that are there came later, nobody wrote down. Rows of views, and of what is not declared, do not stay.
INSERT INTO speed.measures_since (table_name, measure, since)
SELECT c.table_name, c.column_name, '-infinity'
FROM information_schema.columns AS c
WHERE c.table_schema = 'speed' AND c.data_type = 'bigint' AND (
    c.table_name IN ('product_totals', 'customer_totals')
    OR (SELECT count(*) FROM information_schema.columns AS key
        WHERE key.table_schema = 'speed' AND key.table_name = c.table_name AND key.column_name IN ('business_date', 'pane_start')) = 2
);
