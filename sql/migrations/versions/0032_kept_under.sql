-- Which settings that figures depend on the books are kept under, besides time zone and currency: variable and value, as in the environment.
CREATE TABLE public.kept_under (
    setting text PRIMARY KEY,
    value   text NOT NULL
);
