-- How far the word has gone out that hours are final.
ALTER TABLE speed.publisher ADD COLUMN final_before timestamptz;
