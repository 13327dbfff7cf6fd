-- What each measure, KPI, sketch and pattern means in these books, as tandem/definitions.py says it. Written when the name is
-- declared for the first time and never changed; it stays when the name is no longer declared, as its columns and rows do.
CREATE TABLE public.definitions (
    name       text PRIMARY KEY,
    definition text NOT NULL
);
