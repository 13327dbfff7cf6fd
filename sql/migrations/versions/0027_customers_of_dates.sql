-- A customer is settled once a date, and not changed by each further order of theirs.
DROP VIEW IF EXISTS speed.customer_days_all;  -- made anew from the columns that are left
ALTER TABLE speed.customer_days DROP COLUMN order_count, DROP COLUMN revenue_cents;
ALTER TABLE IF EXISTS speed.customer_days_pending DROP COLUMN order_count, DROP COLUMN revenue_cents;
