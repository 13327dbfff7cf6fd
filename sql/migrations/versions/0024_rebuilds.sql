-- When rebuilt figures were put in place of live ones, of business dates from ``since`` on.
CREATE TABLE speed.rebuilds (
    swapped_at timestamptz NOT NULL DEFAULT now(),
    since      date        NOT NULL
);
