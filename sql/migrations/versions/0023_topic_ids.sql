-- The id that Kafka gave each topic when it was first read, or first since ids are noted. Offsets mean nothing in another topic of the same name.
CREATE TABLE speed.topics (
    topic    text   PRIMARY KEY,
    topic_id bigint NOT NULL  -- the first 64 of its 128 bits
);
