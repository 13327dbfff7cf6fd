CREATE SCHEMA batch;

COMMENT ON SCHEMA batch IS 'What Spark has computed from the archive, by run. Written by tandem_batch only.';

CREATE SCHEMA reconciliation;

COMMENT ON SCHEMA reconciliation IS 'Cuts, comparisons, causes, corrections, reports. Written by tandem_reconciliation only.';

CREATE SCHEMA serving;

COMMENT ON SCHEMA serving IS 'The one place to query. Views only.';

CREATE SCHEMA speed;

COMMENT ON SCHEMA speed IS 'What the stream has counted, within a second. Written by tandem_speed only.';

CREATE TYPE reconciliation.severity AS ENUM (
    'info',
    'warning',
    'critical'
);

CREATE FUNCTION batch.print_of(day date, version bigint) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT hashtextextended((day - date '2000-01-01') || ':' || coalesce(version::text, 'none'), 0)::numeric $$;

CREATE FUNCTION serving.category_series(one text DEFAULT NULL::text, until timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS TABLE(window_start timestamp with time zone, category text, order_count bigint, revenue_cents bigint, smallest_cents bigint, largest_cents bigint, avg_order_value_cents bigint)
    LANGUAGE sql STABLE
    AS $_$
    WITH edge AS (
        SELECT coalesce($2, (SELECT max(watermark) + interval '1 microsecond' FROM speed.partitions)) AS until
    ), windows AS (
        SELECT date_bin('5 minutes', pane_start, timestamptz '2000-01-01 00:00:00+00') AS window_start, business_date,
               category AS key, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'category_minutes' AND measure = 'order_count') THEN sum(order_count)::bigint END AS order_count, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'category_minutes' AND measure = 'revenue_cents') THEN sum(revenue_cents)::bigint END AS revenue_cents, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'category_minutes' AND measure = 'smallest_cents') THEN min(smallest_cents) END AS smallest_cents, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'category_minutes' AND measure = 'largest_cents') THEN max(largest_cents) END AS largest_cents
        FROM speed.category_minutes_all, edge
        WHERE pane_start >= date_bin('5 minutes', edge.until - interval '24 hours', timestamptz '2000-01-01 00:00:00+00')
              AND pane_start < edge.until AND ($1 IS NULL OR category = $1)
        GROUP BY 1, 2, 3
    )
    SELECT window_start, key, order_count, revenue_cents, smallest_cents, largest_cents, (2 * revenue_cents + order_count) / (2 * nullif(order_count, 0))
    FROM windows ORDER BY window_start, key
$_$;

COMMENT ON FUNCTION serving.category_series(one text, until timestamp with time zone) IS 'The stream, five minutes at a time, of the 24 hours before until, which is now in event time (the greatest watermark) unless another is given; of one category, or of all where it is NULL. revenue_cents is the money of its lines; order_count counts the orders that have one; avg_order_value_cents = revenue_cents / order_count, so it is per order, while smallest_cents and largest_cents are of single lines. Corrections: not included.';

CREATE FUNCTION serving.payment_method_series(one text DEFAULT NULL::text, until timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS TABLE(window_start timestamp with time zone, payment_method text, order_count bigint, revenue_cents bigint, smallest_cents bigint, largest_cents bigint, avg_order_value_cents bigint)
    LANGUAGE sql STABLE
    AS $_$
    WITH edge AS (
        SELECT coalesce($2, (SELECT max(watermark) + interval '1 microsecond' FROM speed.partitions)) AS until
    ), windows AS (
        SELECT date_bin('5 minutes', pane_start, timestamptz '2000-01-01 00:00:00+00') AS window_start, business_date,
               payment_method AS key, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'payment_method_minutes' AND measure = 'order_count') THEN sum(order_count)::bigint END AS order_count, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'payment_method_minutes' AND measure = 'revenue_cents') THEN sum(revenue_cents)::bigint END AS revenue_cents, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'payment_method_minutes' AND measure = 'smallest_cents') THEN min(smallest_cents) END AS smallest_cents, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'payment_method_minutes' AND measure = 'largest_cents') THEN max(largest_cents) END AS largest_cents
        FROM speed.payment_method_minutes_all, edge
        WHERE pane_start >= date_bin('5 minutes', edge.until - interval '24 hours', timestamptz '2000-01-01 00:00:00+00')
              AND pane_start < edge.until AND ($1 IS NULL OR payment_method = $1)
        GROUP BY 1, 2, 3
    )
    SELECT window_start, key, order_count, revenue_cents, smallest_cents, largest_cents, (2 * revenue_cents + order_count) / (2 * nullif(order_count, 0))
    FROM windows ORDER BY window_start, key
$_$;

COMMENT ON FUNCTION serving.payment_method_series(one text, until timestamp with time zone) IS 'The stream, five minutes at a time, of the 24 hours before until, which is now in event time (the greatest watermark) unless another is given; of one payment_method, or of all where it is NULL. avg_order_value_cents = revenue_cents / order_count; it, smallest_cents and largest_cents are per order. Corrections: not included.';

CREATE FUNCTION serving.region_series(one text DEFAULT NULL::text, until timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS TABLE(window_start timestamp with time zone, region text, order_count bigint, revenue_cents bigint, smallest_cents bigint, largest_cents bigint, avg_order_value_cents bigint)
    LANGUAGE sql STABLE
    AS $_$
    WITH edge AS (
        SELECT coalesce($2, (SELECT max(watermark) + interval '1 microsecond' FROM speed.partitions)) AS until
    ), windows AS (
        SELECT date_bin('5 minutes', pane_start, timestamptz '2000-01-01 00:00:00+00') AS window_start, business_date,
               region AS key, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'region_minutes' AND measure = 'order_count') THEN sum(order_count)::bigint END AS order_count, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'region_minutes' AND measure = 'revenue_cents') THEN sum(revenue_cents)::bigint END AS revenue_cents, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'region_minutes' AND measure = 'smallest_cents') THEN min(smallest_cents) END AS smallest_cents, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'region_minutes' AND measure = 'largest_cents') THEN max(largest_cents) END AS largest_cents
        FROM speed.region_minutes_all, edge
        WHERE pane_start >= date_bin('5 minutes', edge.until - interval '24 hours', timestamptz '2000-01-01 00:00:00+00')
              AND pane_start < edge.until AND ($1 IS NULL OR region = $1)
        GROUP BY 1, 2, 3
    )
    SELECT window_start, key, order_count, revenue_cents, smallest_cents, largest_cents, (2 * revenue_cents + order_count) / (2 * nullif(order_count, 0))
    FROM windows ORDER BY window_start, key
$_$;

COMMENT ON FUNCTION serving.region_series(one text, until timestamp with time zone) IS 'The stream, five minutes at a time, of the 24 hours before until, which is now in event time (the greatest watermark) unless another is given; of one region, or of all where it is NULL. avg_order_value_cents = revenue_cents / order_count; it, smallest_cents and largest_cents are per order. Corrections: not included.';

CREATE FUNCTION serving.sketch_hash(sketch bytea, place integer) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
    SELECT get_byte(sketch, place + 0)::bigint << 0 | get_byte(sketch, place + 1)::bigint << 8 | get_byte(sketch, place + 2)::bigint << 16 | get_byte(sketch, place + 3)::bigint << 24 | get_byte(sketch, place + 4)::bigint << 32 | get_byte(sketch, place + 5)::bigint << 40 | get_byte(sketch, place + 6)::bigint << 48 | get_byte(sketch, place + 7)::bigint << 56
$$;

COMMENT ON FUNCTION serving.sketch_hash(sketch bytea, place integer) IS 'A hash of a theta sketch: the eight bytes from a place on, the lowest first.';

CREATE FUNCTION serving.sketches_estimate(sketches bytea[]) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    WITH parts AS (
        SELECT sketch, get_byte(sketch, 0) & 63 AS words FROM unnest(sketches) AS sketch WHERE length(sketch) > 8
    ), threshold AS (
        SELECT min(serving.sketch_hash(sketch, 16)) FILTER (WHERE words = 3) AS theta FROM parts
    ), hashes AS (
        SELECT DISTINCT substring(sketch FROM 8 * place + 1 FOR 8) AS hash
        FROM parts, generate_series(words, length(sketch) / 8 - 1) AS place
    )
    SELECT CASE WHEN theta IS NULL THEN (SELECT count(*) FROM hashes)
                ELSE ((SELECT count(*) FROM hashes WHERE serving.sketch_hash(hash, 0) < theta)
                      * (9223372036854775807.0 / theta))::bigint END
    FROM threshold
$$;

COMMENT ON FUNCTION serving.sketches_estimate(sketches bytea[]) IS 'How many different values theta sketches stand for together. Exact as long as none of them holds more than 4,096: then the different hashes are counted. Beyond that only those below the lowest threshold, and scaled up. It keeps more hashes than a merged sketch would, so it is at least as near.';

CREATE FUNCTION serving.top_categories(since timestamp with time zone, until timestamp with time zone, top integer DEFAULT 10) RETURNS TABLE(cell_start timestamp with time zone, rank bigint, category text, order_count bigint, revenue_cents bigint, smallest_cents bigint, largest_cents bigint, avg_order_value_cents bigint, customers bigint, products bigint)
    LANGUAGE sql STABLE
    AS $_$
    WITH cells AS (
        SELECT date_trunc('hour', pane_start, 'UTC') AS cell_start, business_date, category AS key
, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'category_minutes' AND measure = 'order_count') THEN sum(order_count)::bigint END AS order_count, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'category_minutes' AND measure = 'revenue_cents') THEN sum(revenue_cents)::bigint END AS revenue_cents, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'category_minutes' AND measure = 'smallest_cents') THEN min(smallest_cents) END AS smallest_cents, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'category_minutes' AND measure = 'largest_cents') THEN max(largest_cents) END AS largest_cents
        FROM speed.category_minutes_all
        -- Panes may be minutes, and hours are whole; none is longer than two, wherever clocks are set back.
        WHERE pane_start >= $1 AND pane_start < $2 + interval '2 hours' AND date_trunc('hour', pane_start, 'UTC') >= $1 AND date_trunc('hour', pane_start, 'UTC') < $2
        GROUP BY 1, 2, 3
    ), ranked AS (
        SELECT *, row_number() OVER (PARTITION BY cell_start ORDER BY revenue_cents DESC, key) AS rank FROM cells
        WHERE revenue_cents IS NOT NULL
    )
    SELECT cell_start, rank, key, order_count, revenue_cents, smallest_cents, largest_cents, (2 * revenue_cents + order_count) / (2 * nullif(order_count, 0))
, (
               SELECT serving.sketches_estimate(array_agg(s.sketch)) FROM speed.sketches AS s
               WHERE s.rollup = 'category_minutes' AND s.cell_start = ranked.cell_start AND s.key = ranked.key
                     AND s.counted = 'customers'), (
               SELECT serving.sketches_estimate(array_agg(s.sketch)) FROM speed.sketches AS s
               WHERE s.rollup = 'category_minutes' AND s.cell_start = ranked.cell_start AND s.key = ranked.key
                     AND s.counted = 'products')
    FROM ranked WHERE rank <= $3 ORDER BY cell_start, rank
$_$;

COMMENT ON FUNCTION serving.top_categories(since timestamp with time zone, until timestamp with time zone, top integer) IS 'The top keys of every hour of the stream that begins in [since, until), by revenue; equal ones by their key. revenue_cents is the money of its lines; order_count counts the orders that have one; avg_order_value_cents = revenue_cents / order_count, so it is per order, while smallest_cents and largest_cents are of single lines. Corrections: not included.';

CREATE FUNCTION serving.top_payment_methods(since timestamp with time zone, until timestamp with time zone, top integer DEFAULT 10) RETURNS TABLE(cell_start timestamp with time zone, rank bigint, payment_method text, order_count bigint, revenue_cents bigint, smallest_cents bigint, largest_cents bigint, avg_order_value_cents bigint, customers bigint, products bigint)
    LANGUAGE sql STABLE
    AS $_$
    WITH cells AS (
        SELECT date_trunc('hour', pane_start, 'UTC') AS cell_start, business_date, payment_method AS key
, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'payment_method_minutes' AND measure = 'order_count') THEN sum(order_count)::bigint END AS order_count, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'payment_method_minutes' AND measure = 'revenue_cents') THEN sum(revenue_cents)::bigint END AS revenue_cents, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'payment_method_minutes' AND measure = 'smallest_cents') THEN min(smallest_cents) END AS smallest_cents, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'payment_method_minutes' AND measure = 'largest_cents') THEN max(largest_cents) END AS largest_cents
        FROM speed.payment_method_minutes_all
        -- Panes may be minutes, and hours are whole; none is longer than two, wherever clocks are set back.
        WHERE pane_start >= $1 AND pane_start < $2 + interval '2 hours' AND date_trunc('hour', pane_start, 'UTC') >= $1 AND date_trunc('hour', pane_start, 'UTC') < $2
        GROUP BY 1, 2, 3
    ), ranked AS (
        SELECT *, row_number() OVER (PARTITION BY cell_start ORDER BY revenue_cents DESC, key) AS rank FROM cells
        WHERE revenue_cents IS NOT NULL
    )
    SELECT cell_start, rank, key, order_count, revenue_cents, smallest_cents, largest_cents, (2 * revenue_cents + order_count) / (2 * nullif(order_count, 0))
, (
               SELECT serving.sketches_estimate(array_agg(s.sketch)) FROM speed.sketches AS s
               WHERE s.rollup = 'payment_method_minutes' AND s.cell_start = ranked.cell_start AND s.key = ranked.key
                     AND s.counted = 'customers'), (
               SELECT serving.sketches_estimate(array_agg(s.sketch)) FROM speed.sketches AS s
               WHERE s.rollup = 'payment_method_minutes' AND s.cell_start = ranked.cell_start AND s.key = ranked.key
                     AND s.counted = 'products')
    FROM ranked WHERE rank <= $3 ORDER BY cell_start, rank
$_$;

COMMENT ON FUNCTION serving.top_payment_methods(since timestamp with time zone, until timestamp with time zone, top integer) IS 'The top keys of every hour of the stream that begins in [since, until), by revenue; equal ones by their key. avg_order_value_cents = revenue_cents / order_count; it, smallest_cents and largest_cents are per order. Corrections: not included.';

CREATE FUNCTION serving.top_products(since timestamp with time zone, until timestamp with time zone, top integer DEFAULT 10) RETURNS TABLE(cell_start timestamp with time zone, rank bigint, product_id text, revenue_cents bigint, order_count bigint, units bigint, cancelled_revenue_cents bigint, cancelled_units bigint, amended_revenue_cents bigint, amended_units bigint, avg_order_value_cents bigint)
    LANGUAGE sql STABLE
    AS $_$
    WITH cells AS (
        SELECT pane_start AS cell_start, business_date, product_id AS key
, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'product_hours' AND measure = 'revenue_cents') THEN sum(revenue_cents)::bigint END AS revenue_cents, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'product_hours' AND measure = 'order_count') THEN sum(order_count)::bigint END AS order_count, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'product_hours' AND measure = 'units') THEN sum(units)::bigint END AS units, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'product_hours' AND measure = 'cancelled_revenue_cents') THEN sum(cancelled_revenue_cents)::bigint END AS cancelled_revenue_cents, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'product_hours' AND measure = 'cancelled_units') THEN sum(cancelled_units)::bigint END AS cancelled_units, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'product_hours' AND measure = 'amended_revenue_cents') THEN sum(amended_revenue_cents)::bigint END AS amended_revenue_cents, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'product_hours' AND measure = 'amended_units') THEN sum(amended_units)::bigint END AS amended_units
        FROM speed.product_hours_all
        -- Panes may be minutes, and hours are whole; none is longer than two, wherever clocks are set back.
        WHERE pane_start >= $1 AND pane_start < $2 + interval '2 hours' AND pane_start >= $1 AND pane_start < $2
        GROUP BY 1, 2, 3
    ), ranked AS (
        SELECT *, row_number() OVER (PARTITION BY cell_start ORDER BY revenue_cents DESC, key) AS rank FROM cells
        WHERE revenue_cents IS NOT NULL
    )
    SELECT cell_start, rank, key, revenue_cents, order_count, units, cancelled_revenue_cents, cancelled_units, amended_revenue_cents, amended_units, (2 * revenue_cents + order_count) / (2 * nullif(order_count, 0))

    FROM ranked WHERE rank <= $3 ORDER BY cell_start, rank
$_$;

COMMENT ON FUNCTION serving.top_products(since timestamp with time zone, until timestamp with time zone, top integer) IS 'The top keys of every hour of the stream that begins in [since, until), by revenue; equal ones by their key. revenue_cents is the money of its lines; order_count counts the orders that have one; avg_order_value_cents = revenue_cents / order_count, so it is per order. Corrections: not included; see product_metrics for a product of all time with them.';

CREATE FUNCTION serving.top_regions(since timestamp with time zone, until timestamp with time zone, top integer DEFAULT 10) RETURNS TABLE(cell_start timestamp with time zone, rank bigint, region text, order_count bigint, revenue_cents bigint, smallest_cents bigint, largest_cents bigint, avg_order_value_cents bigint, customers bigint, products bigint)
    LANGUAGE sql STABLE
    AS $_$
    WITH cells AS (
        SELECT date_trunc('hour', pane_start, 'UTC') AS cell_start, business_date, region AS key
, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'region_minutes' AND measure = 'order_count') THEN sum(order_count)::bigint END AS order_count, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'region_minutes' AND measure = 'revenue_cents') THEN sum(revenue_cents)::bigint END AS revenue_cents, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'region_minutes' AND measure = 'smallest_cents') THEN min(smallest_cents) END AS smallest_cents, CASE WHEN business_date >= (SELECT since FROM speed.measures_since WHERE table_name = 'region_minutes' AND measure = 'largest_cents') THEN max(largest_cents) END AS largest_cents
        FROM speed.region_minutes_all
        -- Panes may be minutes, and hours are whole; none is longer than two, wherever clocks are set back.
        WHERE pane_start >= $1 AND pane_start < $2 + interval '2 hours' AND date_trunc('hour', pane_start, 'UTC') >= $1 AND date_trunc('hour', pane_start, 'UTC') < $2
        GROUP BY 1, 2, 3
    ), ranked AS (
        SELECT *, row_number() OVER (PARTITION BY cell_start ORDER BY revenue_cents DESC, key) AS rank FROM cells
        WHERE revenue_cents IS NOT NULL
    )
    SELECT cell_start, rank, key, order_count, revenue_cents, smallest_cents, largest_cents, (2 * revenue_cents + order_count) / (2 * nullif(order_count, 0))
, (
               SELECT serving.sketches_estimate(array_agg(s.sketch)) FROM speed.sketches AS s
               WHERE s.rollup = 'region_minutes' AND s.cell_start = ranked.cell_start AND s.key = ranked.key
                     AND s.counted = 'customers'), (
               SELECT serving.sketches_estimate(array_agg(s.sketch)) FROM speed.sketches AS s
               WHERE s.rollup = 'region_minutes' AND s.cell_start = ranked.cell_start AND s.key = ranked.key
                     AND s.counted = 'products')
    FROM ranked WHERE rank <= $3 ORDER BY cell_start, rank
$_$;

COMMENT ON FUNCTION serving.top_regions(since timestamp with time zone, until timestamp with time zone, top integer) IS 'The top keys of every hour of the stream that begins in [since, until), by revenue; equal ones by their key. avg_order_value_cents = revenue_cents / order_count; it, smallest_cents and largest_cents are per order. Corrections: not included.';

CREATE FUNCTION speed.count_customers_that_came() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO speed.date_customers AS held
    SELECT business_date, count(*) FROM came GROUP BY 1
    ON CONFLICT (business_date) DO UPDATE SET customers = held.customers + excluded.customers;

    WITH new AS (
        INSERT INTO speed.customer_months
        SELECT date_trunc('month', business_date::timestamp)::date, customer_id FROM came
        ON CONFLICT DO NOTHING RETURNING month
    )
    INSERT INTO speed.month_customers AS held
    SELECT month, count(*) FROM new GROUP BY 1
    ON CONFLICT (month) DO UPDATE SET customers = held.customers + excluded.customers;
    RETURN NULL;
END $$;

CREATE FUNCTION speed.count_customers_that_went() RETURNS trigger
    LANGUAGE plpgsql
    AS $_$
BEGIN
    UPDATE speed.date_customers AS held SET customers = held.customers - went.customers
    FROM (SELECT business_date, count(*) AS customers FROM went GROUP BY 1) AS went
    WHERE held.business_date = went.business_date;

    -- Planned for each deletion: of a date's customers, and of one, other plans are good.
    EXECUTE $of_months$
        WITH gone AS (
            DELETE FROM speed.customer_months AS held
            USING (SELECT DISTINCT date_trunc('month', business_date::timestamp)::date AS month, customer_id FROM went) AS went
            WHERE held.month = went.month AND held.customer_id = went.customer_id AND NOT EXISTS (
                SELECT FROM speed.customer_days AS kept
                WHERE date_trunc('month', kept.business_date::timestamp)::date = went.month
                      AND kept.customer_id = went.customer_id
                      AND kept.business_date >= (SELECT date_trunc('month', min(business_date)::timestamp) FROM went)
                      AND kept.business_date < (SELECT date_trunc('month', max(business_date)::timestamp) + interval '1 month' FROM went))
            RETURNING held.month
        )
        UPDATE speed.month_customers AS held SET customers = held.customers - gone.customers
        FROM (SELECT month, count(*) AS customers FROM gone GROUP BY 1) AS gone
        WHERE held.month = gone.month
    $of_months$;
    RETURN NULL;
END $_$;

CREATE FUNCTION speed.count_no_customers() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    DELETE FROM speed.date_customers;
    DELETE FROM speed.customer_months;
    DELETE FROM speed.month_customers;
    RETURN NULL;
END $$;

CREATE TABLE batch.ahead (
    run_id text NOT NULL,
    view text NOT NULL,
    staged_at timestamp with time zone
);

CREATE TABLE batch.category_hours (
    run_id text NOT NULL,
    business_date date NOT NULL,
    cell_start timestamp with time zone NOT NULL,
    category text NOT NULL,
    revenue_cents bigint,
    order_count bigint,
    units bigint,
    cancelled_revenue_cents bigint,
    cancelled_units bigint,
    amended_revenue_cents bigint,
    amended_units bigint
);

CREATE TABLE batch.claims (
    business_date date NOT NULL,
    holder text NOT NULL,
    backend_pid integer,
    backend_started timestamp with time zone,
    claimed_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE batch.daily_metrics (
    run_id text NOT NULL,
    business_date date NOT NULL,
    computed_at timestamp with time zone DEFAULT now() NOT NULL,
    order_count bigint,
    revenue_cents bigint,
    cancelled_revenue_cents bigint,
    amended_revenue_cents bigint,
    net_revenue_cents bigint,
    avg_order_value_cents bigint,
    unique_customers bigint,
    units bigint
);

CREATE TABLE batch.facts_held (
    business_date date NOT NULL,
    facts_version bigint NOT NULL,
    files text NOT NULL
);

CREATE TABLE batch.gate_results (
    run_id text NOT NULL,
    business_date date NOT NULL,
    suite text NOT NULL,
    expectation text NOT NULL,
    level text NOT NULL,
    success boolean NOT NULL,
    observed text DEFAULT ''::text NOT NULL,
    failing_rows jsonb DEFAULT '[]'::jsonb NOT NULL,
    checked_at timestamp with time zone DEFAULT now() NOT NULL,
    facts_version bigint,
    CONSTRAINT gate_results_level_check CHECK ((level = ANY (ARRAY['warn'::text, 'fail'::text])))
);

CREATE TABLE batch.runs (
    run_id text NOT NULL,
    business_date date NOT NULL,
    kind text NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    requested_by text DEFAULT ''::text NOT NULL,
    code_version text NOT NULL,
    rule_version text NOT NULL,
    archive_version bigint,
    facts_version bigint,
    cut jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    archived bigint
);

CREATE TABLE batch.versions (
    view text NOT NULL,
    business_date date NOT NULL,
    version integer NOT NULL,
    run_id text NOT NULL,
    published_at timestamp with time zone DEFAULT now() NOT NULL,
    published_by text DEFAULT ''::text NOT NULL,
    superseded_at timestamp with time zone,
    pruned_at timestamp with time zone,
    CONSTRAINT versions_view_check CHECK ((view = ANY (ARRAY['daily_metrics'::text, 'rfm'::text, 'product_rankings'::text])))
);

CREATE VIEW batch.facts_read AS
 WITH published AS (
         SELECT v.business_date,
            r.facts_version
           FROM (batch.versions v
             JOIN batch.runs r USING (run_id))
          WHERE ((v.view = 'daily_metrics'::text) AND (v.superseded_at IS NULL))
        ), others AS (
        (
                 SELECT facts_held.business_date
                   FROM batch.facts_held
                UNION
                 SELECT gate_results.business_date
                   FROM batch.gate_results
                  WHERE ((gate_results.level = 'fail'::text) AND (NOT gate_results.success))
        ) EXCEPT
         SELECT published.business_date
           FROM published
        ), judged AS (
         SELECT others.business_date,
            COALESCE(( SELECT bool_or(((g.level = 'fail'::text) AND (NOT g.success))) AS bool_or
                   FROM batch.gate_results g
                  WHERE (g.run_id = ( SELECT r.run_id
                           FROM batch.runs r
                          WHERE ((r.business_date = others.business_date) AND (EXISTS ( SELECT
                                   FROM batch.gate_results any_of
                                  WHERE (any_of.run_id = r.run_id))))
                          ORDER BY r.created_at DESC
                         LIMIT 1))), false) AS refused
           FROM others
        ), known AS (
         SELECT p.business_date,
                CASE
                    WHEN (p.facts_version IS NOT NULL) THEN 'published'::text
                    WHEN (h.facts_version IS NOT NULL) THEN 'unchecked'::text
                    ELSE 'lost'::text
                END AS state,
            COALESCE(p.facts_version, h.facts_version) AS facts_version,
            h.facts_version AS held_since
           FROM (published p
             LEFT JOIN batch.facts_held h USING (business_date))
        UNION ALL
         SELECT judged.business_date,
                CASE
                    WHEN judged.refused THEN 'refused'::text
                    ELSE 'unchecked'::text
                END AS "case",
                CASE
                    WHEN (NOT judged.refused) THEN h.facts_version
                    ELSE NULL::bigint
                END AS "case",
            h.facts_version
           FROM (judged
             LEFT JOIN batch.facts_held h USING (business_date))
          WHERE (judged.refused OR (h.facts_version IS NOT NULL))
        )
 SELECT business_date,
    state,
    facts_version,
    held_since,
    batch.print_of(business_date, facts_version) AS print
   FROM known;

CREATE TABLE batch.facts_table (
    only_row boolean DEFAULT true NOT NULL,
    table_id text NOT NULL,
    CONSTRAINT facts_table_only_row_check CHECK (only_row)
);

CREATE TABLE batch.hourly_distincts (
    run_id text NOT NULL,
    business_date date NOT NULL,
    cell_start timestamp with time zone NOT NULL,
    rollup text NOT NULL,
    key text NOT NULL,
    counted text NOT NULL,
    value bigint NOT NULL
);

CREATE TABLE batch.made_of (
    run_id text NOT NULL,
    view text NOT NULL,
    fingerprint numeric NOT NULL
);

CREATE TABLE batch.order_hours (
    run_id text NOT NULL,
    business_date date NOT NULL,
    cell_start timestamp with time zone NOT NULL,
    revenue_cents bigint,
    order_count bigint,
    units bigint,
    cancelled_revenue_cents bigint,
    amended_revenue_cents bigint
);

CREATE TABLE batch.product_hours (
    run_id text NOT NULL,
    business_date date NOT NULL,
    cell_start timestamp with time zone NOT NULL,
    product_id text NOT NULL,
    revenue_cents bigint,
    order_count bigint,
    units bigint,
    cancelled_revenue_cents bigint,
    cancelled_units bigint,
    amended_revenue_cents bigint,
    amended_units bigint
);

CREATE TABLE batch.product_rankings (
    run_id text NOT NULL,
    business_date date NOT NULL,
    scope text NOT NULL,
    scope_key text NOT NULL,
    measure text NOT NULL,
    product_id text NOT NULL,
    category text NOT NULL,
    value bigint,
    rank integer,
    previous_rank integer,
    rank_change integer,
    movement text NOT NULL,
    share double precision,
    cumulative_share double precision,
    CONSTRAINT product_rankings_movement_check CHECK ((movement = ANY (ARRAY['NEW'::text, 'DROPPED'::text, 'UP'::text, 'DOWN'::text, 'SAME'::text])))
);

CREATE TABLE batch.rfm (
    run_id text NOT NULL,
    business_date date NOT NULL,
    customer_id text NOT NULL,
    recency_days integer NOT NULL,
    frequency bigint NOT NULL,
    monetary_cents bigint NOT NULL,
    recency_score smallint NOT NULL,
    frequency_score smallint NOT NULL,
    monetary_score smallint NOT NULL,
    grid text NOT NULL,
    grid_version text NOT NULL,
    segment text NOT NULL,
    previous_segment text,
    flags text DEFAULT ''::text NOT NULL,
    CONSTRAINT rfm_frequency_score_check CHECK (((frequency_score >= 1) AND (frequency_score <= 5))),
    CONSTRAINT rfm_monetary_score_check CHECK (((monetary_score >= 1) AND (monetary_score <= 5))),
    CONSTRAINT rfm_recency_score_check CHECK (((recency_score >= 1) AND (recency_score <= 5)))
);

CREATE TABLE batch.staged (
    run_id text NOT NULL,
    table_name text NOT NULL,
    staged_at timestamp with time zone DEFAULT now() NOT NULL,
    facts_version bigint
);

CREATE TABLE public.definitions (
    name text NOT NULL,
    definition text NOT NULL
);

CREATE TABLE public.installation (
    only_row boolean DEFAULT true NOT NULL,
    business_timezone text NOT NULL,
    currency text NOT NULL,
    installed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT installation_only_row_check CHECK (only_row)
);

CREATE TABLE public.kept_under (
    setting text NOT NULL,
    value text NOT NULL
);

CREATE TABLE reconciliation.agreement (
    reconciliation_id bigint NOT NULL,
    subject text NOT NULL,
    measure text NOT NULL,
    top integer NOT NULL,
    compared bigint NOT NULL,
    alike bigint NOT NULL,
    apart double precision,
    status text NOT NULL,
    CONSTRAINT agreement_status_check CHECK ((status = ANY (ARRAY['match'::text, 'mismatch'::text, 'missing_in_speed'::text, 'missing_in_batch'::text]))),
    CONSTRAINT agreement_subject_check CHECK ((subject = ANY (ARRAY['products'::text, 'customers'::text, 'distincts'::text])))
);

COMMENT ON COLUMN reconciliation.agreement.apart IS 'ranks, on average; of distincts: a share of 1';

CREATE TABLE reconciliation.certificates (
    certificate_id bigint NOT NULL,
    reconciliation_id bigint NOT NULL,
    certificate jsonb NOT NULL,
    issued_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE reconciliation.certificates ALTER COLUMN certificate_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME reconciliation.certificates_certificate_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE reconciliation.comparisons (
    reconciliation_id bigint NOT NULL,
    level text NOT NULL,
    cube text NOT NULL,
    cell_start timestamp with time zone NOT NULL,
    key text NOT NULL,
    metric text NOT NULL,
    batch_value bigint,
    speed_value bigint,
    corrected bigint NOT NULL,
    allowed bigint,
    status text NOT NULL,
    decides boolean NOT NULL,
    CONSTRAINT comparisons_level_check CHECK ((level = ANY (ARRAY['day'::text, 'cell'::text]))),
    CONSTRAINT comparisons_status_check CHECK ((status = ANY (ARRAY['match'::text, 'mismatch'::text, 'missing_in_speed'::text, 'missing_in_batch'::text, 'not_comparable'::text])))
);

CREATE TABLE reconciliation.corrections (
    correction_id text NOT NULL,
    business_date date NOT NULL,
    cube text NOT NULL,
    cell_start timestamp with time zone NOT NULL,
    key text NOT NULL,
    measure text NOT NULL,
    sequence integer NOT NULL,
    stream_value bigint NOT NULL,
    batch_value bigint NOT NULL,
    delta bigint NOT NULL,
    run_id text NOT NULL,
    reconciliation_id bigint,
    status text NOT NULL,
    reverses text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    decided_by text DEFAULT ''::text NOT NULL,
    emitted_at timestamp with time zone,
    decided_at timestamp with time zone,
    CONSTRAINT corrections_status_check CHECK ((status = ANY (ARRAY['waiting_approval'::text, 'pending'::text, 'emitted'::text])))
);

CREATE TABLE reconciliation.cut_category_hours (
    run_id text NOT NULL,
    cell_start timestamp with time zone NOT NULL,
    category text NOT NULL,
    revenue_cents bigint,
    order_count bigint,
    units bigint,
    cancelled_revenue_cents bigint,
    cancelled_units bigint,
    amended_revenue_cents bigint,
    amended_units bigint
);

CREATE TABLE reconciliation.cut_distincts (
    run_id text NOT NULL,
    measure text NOT NULL,
    value bigint NOT NULL
);

CREATE TABLE reconciliation.cut_hourly_distincts (
    run_id text NOT NULL,
    cell_start timestamp with time zone NOT NULL,
    rollup text NOT NULL,
    key text NOT NULL,
    counted text NOT NULL,
    value bigint NOT NULL
);

CREATE TABLE reconciliation.cut_offsets (
    run_id text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    watermark timestamp with time zone
);

CREATE TABLE reconciliation.cut_order_hours (
    run_id text NOT NULL,
    cell_start timestamp with time zone NOT NULL,
    revenue_cents bigint,
    order_count bigint,
    units bigint,
    cancelled_revenue_cents bigint,
    amended_revenue_cents bigint
);

CREATE TABLE reconciliation.cut_product_hours (
    run_id text NOT NULL,
    cell_start timestamp with time zone NOT NULL,
    product_id text NOT NULL,
    revenue_cents bigint,
    order_count bigint,
    units bigint,
    cancelled_revenue_cents bigint,
    cancelled_units bigint,
    amended_revenue_cents bigint,
    amended_units bigint
);

CREATE TABLE reconciliation.cuts (
    run_id text NOT NULL,
    business_date date NOT NULL,
    comparable boolean NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    lag bigint DEFAULT 0 NOT NULL,
    rule_version text NOT NULL,
    taken_at timestamp with time zone DEFAULT now() NOT NULL,
    rebuilds bigint DEFAULT 0 NOT NULL
);

CREATE TABLE reconciliation.discrepancies (
    reconciliation_id bigint NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    event_id text,
    event_type text,
    order_id text,
    customer_id text,
    event_time timestamp with time zone,
    speed_decision text NOT NULL,
    batch_decision text NOT NULL,
    speed_cents bigint NOT NULL,
    batch_cents bigint NOT NULL,
    speed_units bigint NOT NULL,
    batch_units bigint NOT NULL,
    cause text NOT NULL,
    evidence text NOT NULL
);

CREATE TABLE reconciliation.incidents (
    incident_id bigint NOT NULL,
    name text NOT NULL,
    severity reconciliation.severity NOT NULL,
    finding text NOT NULL,
    said text NOT NULL,
    opened_at timestamp with time zone DEFAULT now() NOT NULL,
    resolved_at timestamp with time zone
);

ALTER TABLE reconciliation.incidents ALTER COLUMN incident_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME reconciliation.incidents_incident_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE reconciliation.reconciliations (
    reconciliation_id bigint NOT NULL,
    business_date date NOT NULL,
    run_id text NOT NULL,
    verdict text NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    remedy text DEFAULT ''::text NOT NULL,
    cells_compared bigint DEFAULT 0 NOT NULL,
    cells_differing bigint DEFAULT 0 NOT NULL,
    speed_hash text DEFAULT ''::text NOT NULL,
    batch_hash text DEFAULT ''::text NOT NULL,
    compared_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT reconciliations_verdict_check CHECK ((verdict = ANY (ARRAY['match'::text, 'mismatch'::text, 'not_comparable'::text])))
);

CREATE TABLE speed.adjustments (
    correction_id text NOT NULL,
    business_date date NOT NULL,
    cube text NOT NULL,
    cell_start timestamp with time zone NOT NULL,
    key text NOT NULL,
    measure text NOT NULL,
    delta bigint NOT NULL,
    stream_value bigint NOT NULL,
    batch_value bigint NOT NULL,
    run_id text NOT NULL,
    reverses text,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE VIEW reconciliation.journal_needs AS
 SELECT v.business_date,
        CASE
            WHEN (EXISTS ( SELECT
               FROM batch.claims c
              WHERE (c.business_date = v.business_date))) THEN 'a run is at work on it'::text
            WHEN (newest.reconciliation_id IS NULL) THEN 'it was never compared'::text
            WHEN (newest.run_id <> v.run_id) THEN 'its last version is not compared'::text
            WHEN (newest.verdict = 'not_comparable'::text) THEN 'it could not be compared'::text
            WHEN (EXISTS ( SELECT
               FROM reconciliation.corrections c
              WHERE ((c.business_date = v.business_date) AND (c.status = 'waiting_approval'::text)))) THEN 'corrections of it wait for approval'::text
            WHEN (EXISTS ( SELECT
               FROM reconciliation.corrections c
              WHERE ((c.business_date = v.business_date) AND (NOT (EXISTS ( SELECT
                       FROM speed.adjustments a
                      WHERE ((a.correction_id = c.correction_id) AND (a.delta = c.delta)))))))) THEN 'corrections of it are on their way'::text
            WHEN ((newest.verdict = 'mismatch'::text) AND (NOT (EXISTS ( SELECT
               FROM reconciliation.corrections c
              WHERE ((c.business_date = v.business_date) AND ((c.reconciliation_id = newest.reconciliation_id) OR ((c.decided_at > newest.compared_at) AND (c.reverses IS NULL) AND (c.run_id = newest.run_id)))))))) THEN 'it differs and was not corrected'::text
            WHEN (NOT (EXISTS ( SELECT
               FROM reconciliation.certificates c
              WHERE (c.reconciliation_id = newest.reconciliation_id)))) THEN 'it has no certificate'::text
            WHEN (EXISTS ( SELECT
               FROM reconciliation.incidents i
              WHERE ((i.resolved_at IS NULL) AND ("right"(i.name, 10) = (v.business_date)::text)))) THEN 'an incident of it is open'::text
            ELSE NULL::text
        END AS why
   FROM (batch.versions v
     LEFT JOIN LATERAL ( SELECT r.reconciliation_id,
            r.run_id,
            r.verdict,
            r.compared_at
           FROM reconciliation.reconciliations r
          WHERE (r.business_date = v.business_date)
          ORDER BY r.reconciliation_id DESC
         LIMIT 1) newest ON (true))
  WHERE ((v.view = 'daily_metrics'::text) AND (v.superseded_at IS NULL));

CREATE TABLE reconciliation.lateness (
    reconciliation_id bigint NOT NULL,
    grace interval NOT NULL,
    events bigint NOT NULL,
    removed_cents bigint NOT NULL,
    gross_cents bigint NOT NULL
);

CREATE TABLE reconciliation.ledger (
    reconciliation_id bigint NOT NULL,
    cube text NOT NULL,
    cell_start timestamp with time zone NOT NULL,
    key text NOT NULL,
    measure text NOT NULL,
    cause text NOT NULL,
    events bigint NOT NULL,
    amount bigint NOT NULL
);

CREATE TABLE reconciliation.mails (
    mail_id bigint NOT NULL,
    subject text NOT NULL,
    message bytea NOT NULL,
    report_ids bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    sent_at timestamp with time zone
);

ALTER TABLE reconciliation.mails ALTER COLUMN mail_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME reconciliation.mails_mail_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE reconciliation.reconciliations ALTER COLUMN reconciliation_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME reconciliation.reconciliations_reconciliation_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE reconciliation.reports (
    report_id bigint NOT NULL,
    reconciliation_id bigint NOT NULL,
    business_date date NOT NULL,
    report jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    mailed_at timestamp with time zone
);

ALTER TABLE reconciliation.reports ALTER COLUMN report_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME reconciliation.reports_report_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE reconciliation.run_ends (
    dag_run text CONSTRAINT digest_entries_dag_run_not_null NOT NULL,
    business_date date CONSTRAINT digest_entries_business_date_not_null NOT NULL,
    reconciliation_id bigint,
    failure text DEFAULT ''::text CONSTRAINT digest_entries_failure_not_null NOT NULL,
    ended_at timestamp with time zone DEFAULT now() CONSTRAINT digest_entries_ended_at_not_null NOT NULL,
    mailed_at timestamp with time zone
);

CREATE VIEW serving.batch_daily AS
 SELECT v.business_date,
    v.run_id,
    v.version,
    v.published_at AS as_of,
    d.order_count,
    d.revenue_cents,
    d.cancelled_revenue_cents,
    d.amended_revenue_cents,
    d.net_revenue_cents,
    d.avg_order_value_cents,
    d.unique_customers,
    d.units,
    COALESCE((('the run was computed without '::text || NULLIF(concat_ws(', '::text,
        CASE
            WHEN (d.order_count IS NULL) THEN 'order_count'::text
            ELSE NULL::text
        END,
        CASE
            WHEN (d.revenue_cents IS NULL) THEN 'revenue_cents'::text
            ELSE NULL::text
        END,
        CASE
            WHEN (d.cancelled_revenue_cents IS NULL) THEN 'cancelled_revenue_cents'::text
            ELSE NULL::text
        END,
        CASE
            WHEN (d.amended_revenue_cents IS NULL) THEN 'amended_revenue_cents'::text
            ELSE NULL::text
        END,
        CASE
            WHEN (d.net_revenue_cents IS NULL) THEN 'net_revenue_cents'::text
            ELSE NULL::text
        END,
        CASE
            WHEN ((d.avg_order_value_cents IS NULL) AND (EXISTS ( SELECT
               FROM batch.order_hours h
              WHERE ((h.run_id = v.run_id) AND (h.business_date = v.business_date) AND (h.order_count IS DISTINCT FROM 0))))) THEN 'avg_order_value_cents'::text
            ELSE NULL::text
        END,
        CASE
            WHEN (d.unique_customers IS NULL) THEN 'unique_customers'::text
            ELSE NULL::text
        END,
        CASE
            WHEN (d.units IS NULL) THEN 'units'::text
            ELSE NULL::text
        END), ''::text)) || ', which was declared later'::text), ''::text) AS reason
   FROM (batch.versions v
     JOIN batch.daily_metrics d USING (run_id, business_date))
  WHERE ((v.view = 'daily_metrics'::text) AND (v.superseded_at IS NULL));

COMMENT ON VIEW serving.batch_daily IS 'The published KPIs per business date. NULL: what was declared after the run, as reason says; or nothing to divide by. Corrections: none, since they are the batch layer''s.';

CREATE VIEW serving.batch_horizon AS
 SELECT max(business_date) AS batch_horizon
   FROM batch.versions
  WHERE ((view = 'daily_metrics'::text) AND (superseded_at IS NULL));

COMMENT ON VIEW serving.batch_horizon IS 'The last date that the batch layer has published.';

CREATE TABLE speed.customer_totals (
    partition integer NOT NULL,
    customer_id text NOT NULL,
    first_order_time timestamp with time zone,
    last_order_time timestamp with time zone,
    revenue_cents bigint DEFAULT 0 NOT NULL,
    order_count bigint DEFAULT 0 NOT NULL,
    units bigint DEFAULT 0 NOT NULL,
    cancelled_revenue_cents bigint DEFAULT 0 NOT NULL,
    amended_revenue_cents bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='70');

CREATE TABLE speed.measures_since (
    table_name text NOT NULL,
    measure text NOT NULL,
    since date NOT NULL
);

CREATE VIEW serving.customer_metrics AS
 SELECT customer_id,
    revenue_cents,
    order_count,
    units,
    cancelled_revenue_cents,
    amended_revenue_cents,
    first_order_time,
    last_order_time,
    ((revenue_cents + amended_revenue_cents) - cancelled_revenue_cents) AS net_revenue_cents,
    (((2 * revenue_cents) + order_count) / (2 * NULLIF(order_count, 0))) AS avg_order_value_cents,
    round(((EXTRACT(epoch FROM (last_order_time - first_order_time)) / (86400)::numeric) / (NULLIF((order_count - 1), 0))::numeric), 4) AS days_between_orders,
    (revenue_cents > 100000) AS is_high_value
   FROM ( SELECT customer_totals.customer_id,
                CASE
                    WHEN ('-infinity'::date >= ( SELECT measures_since.since
                       FROM speed.measures_since
                      WHERE ((measures_since.table_name = 'customer_totals'::text) AND (measures_since.measure = 'revenue_cents'::text)))) THEN (sum(customer_totals.revenue_cents))::bigint
                    ELSE NULL::bigint
                END AS revenue_cents,
                CASE
                    WHEN ('-infinity'::date >= ( SELECT measures_since.since
                       FROM speed.measures_since
                      WHERE ((measures_since.table_name = 'customer_totals'::text) AND (measures_since.measure = 'order_count'::text)))) THEN (sum(customer_totals.order_count))::bigint
                    ELSE NULL::bigint
                END AS order_count,
                CASE
                    WHEN ('-infinity'::date >= ( SELECT measures_since.since
                       FROM speed.measures_since
                      WHERE ((measures_since.table_name = 'customer_totals'::text) AND (measures_since.measure = 'units'::text)))) THEN (sum(customer_totals.units))::bigint
                    ELSE NULL::bigint
                END AS units,
                CASE
                    WHEN ('-infinity'::date >= ( SELECT measures_since.since
                       FROM speed.measures_since
                      WHERE ((measures_since.table_name = 'customer_totals'::text) AND (measures_since.measure = 'cancelled_revenue_cents'::text)))) THEN (sum(customer_totals.cancelled_revenue_cents))::bigint
                    ELSE NULL::bigint
                END AS cancelled_revenue_cents,
                CASE
                    WHEN ('-infinity'::date >= ( SELECT measures_since.since
                       FROM speed.measures_since
                      WHERE ((measures_since.table_name = 'customer_totals'::text) AND (measures_since.measure = 'amended_revenue_cents'::text)))) THEN (sum(customer_totals.amended_revenue_cents))::bigint
                    ELSE NULL::bigint
                END AS amended_revenue_cents,
            min(customer_totals.first_order_time) AS first_order_time,
            max(customer_totals.last_order_time) AS last_order_time
           FROM speed.customer_totals
          GROUP BY customer_totals.customer_id) totals;

COMMENT ON VIEW serving.customer_metrics IS 'Per customer, of all time, as the stream counted it. avg_order_value_cents = revenue / orders, rounded half up. days_between_orders is the frequency: days from the first order to the last, per order after the first; NULL with fewer than two. is_high_value: revenue_cents is above TANDEM_HIGH_VALUE_CENTS, as "tandem books" shows it. NULL: a measure that was declared after the first events, until a rebuild. Corrections: not included; they name no customer.';

CREATE TABLE speed.customer_minutes (
    partition integer NOT NULL,
    pane_start timestamp with time zone NOT NULL,
    first_offset bigint NOT NULL,
    customer_ids text[] NOT NULL,
    order_counts bigint[] NOT NULL,
    revenues_cents bigint[] NOT NULL
);

CREATE TABLE speed.partitions (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    epoch bigint DEFAULT 0 NOT NULL,
    worker text,
    watermark timestamp with time zone,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    first_offset bigint,
    last_offset bigint,
    last_time_ms bigint
);

CREATE VIEW serving.customer_moving_average AS
 SELECT window_start.window_start,
    (window_start.window_start + '00:05:00'::interval) AS window_end,
    of_customer.customer_id,
    (sum(of_customer.order_count))::bigint AS order_count,
    (sum(of_customer.revenue_cents))::bigint AS revenue_cents,
    (((2 * (sum(of_customer.revenue_cents))::bigint) + (sum(of_customer.order_count))::bigint) / (2 * (sum(of_customer.order_count))::bigint)) AS avg_order_value_cents,
        CASE
            WHEN ((min(p.watermark) - '01:00:00'::interval) >= (window_start.window_start + '00:05:00'::interval)) THEN 'final'::text
            ELSE 'early'::text
        END AS status
   FROM (((speed.customer_minutes m
     JOIN speed.partitions p ON (((p.topic = 'order-events'::text) AND (p.partition = m.partition))))
     CROSS JOIN LATERAL UNNEST(m.customer_ids, m.order_counts, m.revenues_cents) of_customer(customer_id, order_count, revenue_cents))
     CROSS JOIN LATERAL generate_series((m.pane_start - '00:04:00'::interval), m.pane_start, '00:01:00'::interval) window_start(window_start))
  WHERE (window_start.window_start >= (date_trunc('hour'::text, p.watermark, 'UTC'::text) - '03:00:00'::interval))
  GROUP BY window_start.window_start, of_customer.customer_id;

COMMENT ON VIEW serving.customer_moving_average IS 'Average order value of each customer over 5 minutes, hopping by 1 minute, [window_start, window_end); windows without an order have no row. early: an order that is still accepted may change it. final: nothing can. Kept for TANDEM_MOVING_AVERAGE_RETENTION. Corrections: not included; they name no customer.';

CREATE TABLE speed.sessions (
    partition integer NOT NULL,
    customer_id text NOT NULL,
    session_start timestamp with time zone NOT NULL,
    session_end timestamp with time zone NOT NULL,
    order_count bigint NOT NULL,
    revenue_cents bigint NOT NULL,
    max_order_cents bigint NOT NULL,
    categories text[] NOT NULL
)
WITH (fillfactor='80');

CREATE VIEW serving.customer_sessions AS
 SELECT s.customer_id,
    s.session_start,
    s.session_end,
    s.order_count,
    s.revenue_cents,
    (((2 * s.revenue_cents) + s.order_count) / (2 * s.order_count)) AS avg_order_value_cents,
    s.max_order_cents,
    cardinality(s.categories) AS category_count,
    s.categories,
        CASE
            WHEN (s.session_end <= ((p.watermark - '01:00:00'::interval) - '00:30:00'::interval)) THEN 'final'::text
            ELSE 'early'::text
        END AS status
   FROM (speed.sessions s
     JOIN speed.partitions p ON (((p.topic = 'order-events'::text) AND (p.partition = s.partition))));

COMMENT ON VIEW serving.customer_sessions IS 'Orders of a customer with less than 30 minutes between one and the next, in event time; session_end is the last order. early: an order that is still accepted may change it. final: nothing can. Kept for TANDEM_SESSION_RETENTION. Corrections: not included; they name no customer.';

CREATE TABLE speed.order_minutes (
    business_date date NOT NULL,
    pane_start timestamp with time zone NOT NULL,
    partition integer NOT NULL,
    revenue_cents bigint DEFAULT 0 NOT NULL,
    order_count bigint DEFAULT 0 NOT NULL,
    units bigint DEFAULT 0 NOT NULL,
    cancelled_revenue_cents bigint DEFAULT 0 NOT NULL,
    amended_revenue_cents bigint DEFAULT 0 NOT NULL
);

CREATE VIEW serving.speed_order_hours AS
 SELECT business_date,
    cell_start,
        CASE
            WHEN (business_date >= ( SELECT measures_since.since
               FROM speed.measures_since
              WHERE ((measures_since.table_name = 'order_minutes'::text) AND (measures_since.measure = 'revenue_cents'::text)))) THEN (sum(revenue_cents))::bigint
            ELSE NULL::bigint
        END AS revenue_cents,
    (sum(revenue_cents_adjusted))::bigint AS revenue_cents_adjusted,
        CASE
            WHEN (business_date >= ( SELECT measures_since.since
               FROM speed.measures_since
              WHERE ((measures_since.table_name = 'order_minutes'::text) AND (measures_since.measure = 'order_count'::text)))) THEN (sum(order_count))::bigint
            ELSE NULL::bigint
        END AS order_count,
    (sum(order_count_adjusted))::bigint AS order_count_adjusted,
        CASE
            WHEN (business_date >= ( SELECT measures_since.since
               FROM speed.measures_since
              WHERE ((measures_since.table_name = 'order_minutes'::text) AND (measures_since.measure = 'units'::text)))) THEN (sum(units))::bigint
            ELSE NULL::bigint
        END AS units,
    (sum(units_adjusted))::bigint AS units_adjusted,
        CASE
            WHEN (business_date >= ( SELECT measures_since.since
               FROM speed.measures_since
              WHERE ((measures_since.table_name = 'order_minutes'::text) AND (measures_since.measure = 'cancelled_revenue_cents'::text)))) THEN (sum(cancelled_revenue_cents))::bigint
            ELSE NULL::bigint
        END AS cancelled_revenue_cents,
    (sum(cancelled_revenue_cents_adjusted))::bigint AS cancelled_revenue_cents_adjusted,
        CASE
            WHEN (business_date >= ( SELECT measures_since.since
               FROM speed.measures_since
              WHERE ((measures_since.table_name = 'order_minutes'::text) AND (measures_since.measure = 'amended_revenue_cents'::text)))) THEN (sum(amended_revenue_cents))::bigint
            ELSE NULL::bigint
        END AS amended_revenue_cents,
    (sum(amended_revenue_cents_adjusted))::bigint AS amended_revenue_cents_adjusted
   FROM ( SELECT order_minutes.business_date,
            date_trunc('hour'::text, order_minutes.pane_start, 'UTC'::text) AS cell_start,
            ''::text AS key,
            order_minutes.revenue_cents,
            (0)::bigint AS revenue_cents_adjusted,
            order_minutes.order_count,
            (0)::bigint AS order_count_adjusted,
            order_minutes.units,
            (0)::bigint AS units_adjusted,
            order_minutes.cancelled_revenue_cents,
            (0)::bigint AS cancelled_revenue_cents_adjusted,
            order_minutes.amended_revenue_cents,
            (0)::bigint AS amended_revenue_cents_adjusted
           FROM speed.order_minutes
        UNION ALL
         SELECT adjustments.business_date,
            adjustments.cell_start,
            adjustments.key,
                CASE
                    WHEN (adjustments.measure = 'revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'order_count'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'order_count'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'units'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'units'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'cancelled_revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'cancelled_revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'amended_revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'amended_revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case"
           FROM speed.adjustments
          WHERE (adjustments.cube = 'orders'::text)) panes
  GROUP BY business_date, cell_start;

COMMENT ON VIEW serving.speed_order_hours IS 'The stream per hour. Corrections: included; ..._adjusted is how much of a value they are.';

CREATE VIEW serving.speed_daily_measures AS
 SELECT business_date,
    (sum(revenue_cents))::bigint AS revenue_cents,
    (sum(revenue_cents_adjusted))::bigint AS revenue_cents_adjusted,
    (sum(order_count))::bigint AS order_count,
    (sum(order_count_adjusted))::bigint AS order_count_adjusted,
    (sum(units))::bigint AS units,
    (sum(units_adjusted))::bigint AS units_adjusted,
    (sum(cancelled_revenue_cents))::bigint AS cancelled_revenue_cents,
    (sum(cancelled_revenue_cents_adjusted))::bigint AS cancelled_revenue_cents_adjusted,
    (sum(amended_revenue_cents))::bigint AS amended_revenue_cents,
    (sum(amended_revenue_cents_adjusted))::bigint AS amended_revenue_cents_adjusted
   FROM serving.speed_order_hours
  GROUP BY business_date;

COMMENT ON VIEW serving.speed_daily_measures IS 'The stream per business date. Corrections: included; ..._adjusted is how much of a value they are.';

CREATE TABLE speed.customer_days (
    business_date date NOT NULL,
    customer_id text NOT NULL,
    partition integer NOT NULL,
    CONSTRAINT customer_days_partition_check CHECK ((partition = '-1'::integer))
);

CREATE TABLE speed.customer_days_pending (
    business_date date NOT NULL,
    customer_id text[]
);
ALTER TABLE ONLY speed.customer_days_pending ALTER COLUMN customer_id SET STORAGE EXTERNAL;

CREATE TABLE speed.date_customers (
    business_date date NOT NULL,
    customers bigint NOT NULL
);

CREATE VIEW speed.date_customers_all AS
 SELECT business_date,
    (sum(customers))::bigint AS customers
   FROM ( SELECT date_customers.business_date,
            date_customers.customers
           FROM speed.date_customers
        UNION ALL
         SELECT waiting.business_date,
            count(*) AS count
           FROM ( SELECT DISTINCT customer_days_pending.business_date,
                    one.customer_id
                   FROM speed.customer_days_pending,
                    LATERAL unnest(customer_days_pending.customer_id) one(customer_id)) waiting
          WHERE (( SELECT true
                   FROM speed.customer_days held
                  WHERE ((held.business_date = waiting.business_date) AND (held.customer_id = waiting.customer_id))) IS NULL)
          GROUP BY waiting.business_date) parts
  GROUP BY business_date;

CREATE VIEW serving.speed_daily AS
 SELECT measured.business_date,
    progress.as_of,
    measured.order_count,
    measured.revenue_cents,
    measured.cancelled_revenue_cents,
    measured.amended_revenue_cents,
    ((((+ 1) * measured.revenue_cents) + (1 * measured.amended_revenue_cents)) - (1 * measured.cancelled_revenue_cents)) AS net_revenue_cents,
    (((2 * measured.revenue_cents) + measured.order_count) / (2 * NULLIF(measured.order_count, 0))) AS avg_order_value_cents,
    counted.unique_customers,
    measured.units,
    COALESCE(( SELECT (('the stream did not keep '::text || string_agg(measures_since.measure, ', '::text ORDER BY measures_since.measure)) || ' then, which was declared later'::text)
           FROM speed.measures_since
          WHERE ((measures_since.table_name = 'order_minutes'::text) AND (measures_since.since > measured.business_date))), ''::text) AS reason
   FROM ((serving.speed_daily_measures measured
     LEFT JOIN LATERAL ( SELECT (COALESCE(( SELECT c.customers
                   FROM speed.date_customers_all c
                  WHERE (c.business_date = measured.business_date)), (0)::bigint) + (COALESCE(( SELECT sum(a.delta) AS sum
                   FROM speed.adjustments a
                  WHERE ((a.business_date = measured.business_date) AND (a.cube = 'distinct'::text) AND (a.measure = 'unique_customers'::text))), (0)::numeric))::bigint) AS unique_customers) counted ON (true))
     CROSS JOIN ( SELECT max(partitions.updated_at) AS as_of
           FROM speed.partitions) progress);

COMMENT ON VIEW serving.speed_daily IS 'The speed layer''s KPIs per business date. NULL: what was declared later, as reason says; or nothing to divide by. Corrections: included.';

CREATE VIEW serving.daily AS
 WITH span AS (
         SELECT min(known.business_date) AS first_date,
            max(known.business_date) AS last_date
           FROM ( SELECT order_minutes.business_date
                   FROM speed.order_minutes
                UNION ALL
                 SELECT runs.business_date
                   FROM batch.runs
                UNION ALL
                 SELECT adjustments.business_date
                   FROM speed.adjustments) known
        ), dates AS (
         SELECT (generate_series((span.first_date)::timestamp with time zone, (span.last_date)::timestamp with time zone, '1 day'::interval))::date AS business_date
           FROM span
        UNION
         SELECT (generate_series((((installation.installed_at AT TIME ZONE 'UTC'::text))::date)::timestamp with time zone, ((((now() AT TIME ZONE 'UTC'::text))::date - 1))::timestamp with time zone, '1 day'::interval))::date AS generate_series
           FROM public.installation
        ), checked AS (
         SELECT DISTINCT ON (r.business_date) r.business_date,
            r.run_id,
            r.created_at
           FROM batch.runs r
          WHERE ((r.kind <> 'trial'::text) AND (EXISTS ( SELECT
                   FROM batch.gate_results g
                  WHERE (g.run_id = r.run_id))))
          ORDER BY r.business_date, r.created_at DESC
        ), failed AS (
         SELECT checked.business_date,
            max(checked.created_at) AS began_at,
            max(gate_results.checked_at) AS checked_at,
            string_agg(DISTINCT gate_results.expectation, ', '::text) AS expectations
           FROM (checked
             JOIN batch.gate_results USING (run_id, business_date))
          WHERE ((gate_results.level = 'fail'::text) AND (NOT gate_results.success))
          GROUP BY checked.business_date
        ), judged AS (
         SELECT dates.business_date,
            failed.expectations,
            failed.began_at,
            failed.checked_at,
            b.*::serving.batch_daily AS published,
            ( SELECT r.created_at
                   FROM batch.runs r
                  WHERE (r.run_id = b.run_id)) AS published_began_at,
                CASE
                    WHEN (b.run_id IS NOT NULL) THEN 'certified'::text
                    WHEN (failed.business_date IS NOT NULL) THEN 'failed'::text
                    WHEN ((NOT (EXISTS ( SELECT
                       FROM speed.order_minutes s_1
                      WHERE (s_1.business_date = dates.business_date)))) AND (NOT (EXISTS ( SELECT
                       FROM speed.adjustments s_1
                      WHERE (s_1.business_date = dates.business_date))))) THEN 'missing'::text
                    WHEN (now() > (((dates.business_date + 1) + '06:00:00'::time without time zone) AT TIME ZONE 'UTC'::text)) THEN 'overdue'::text
                    ELSE 'provisional'::text
                END AS status
           FROM ((dates
             LEFT JOIN serving.batch_daily b USING (business_date))
             LEFT JOIN failed USING (business_date))
        )
 SELECT j.business_date,
    j.status,
        CASE j.status
            WHEN 'certified'::text THEN 'batch'::text
            WHEN 'provisional'::text THEN 'speed'::text
            WHEN 'overdue'::text THEN 'speed'::text
            ELSE NULL::text
        END AS layer,
    (j.published).version AS version,
    COALESCE((j.published).as_of, s.as_of,
        CASE
            WHEN (j.status = 'failed'::text) THEN j.checked_at
            ELSE NULL::timestamp with time zone
        END) AS as_of,
    (j.status = 'certified'::text) AS complete,
    concat_ws('; '::text,
        CASE
            WHEN (j.status = 'failed'::text) THEN ('the gates failed: '::text || j.expectations)
            WHEN (j.status = 'missing'::text) THEN 'neither layer has this date'::text
            WHEN (j.status = 'overdue'::text) THEN 'the nightly run for this date never published'::text
            WHEN (j.status = 'provisional'::text) THEN 'the nightly run comes after the date ends'::text
            WHEN (j.began_at >= j.published_began_at) THEN ('a later run failed its gates: '::text || j.expectations)
            ELSE NULL::text
        END, NULLIF(COALESCE((j.published).reason, s.reason), ''::text)) AS reason,
    COALESCE((j.published).order_count, s.order_count) AS order_count,
    COALESCE((j.published).revenue_cents, s.revenue_cents) AS revenue_cents,
    COALESCE((j.published).cancelled_revenue_cents, s.cancelled_revenue_cents) AS cancelled_revenue_cents,
    COALESCE((j.published).amended_revenue_cents, s.amended_revenue_cents) AS amended_revenue_cents,
    COALESCE((j.published).net_revenue_cents, s.net_revenue_cents) AS net_revenue_cents,
    COALESCE((j.published).avg_order_value_cents, s.avg_order_value_cents) AS avg_order_value_cents,
    COALESCE((j.published).unique_customers, s.unique_customers) AS unique_customers,
    COALESCE((j.published).units, s.units) AS units
   FROM (judged j
     LEFT JOIN LATERAL ( SELECT day.business_date,
            day.as_of,
            day.order_count,
            day.revenue_cents,
            day.cancelled_revenue_cents,
            day.amended_revenue_cents,
            day.net_revenue_cents,
            day.avg_order_value_cents,
            day.unique_customers,
            day.units,
            day.reason
           FROM serving.speed_daily day
          WHERE ((day.business_date = j.business_date) AND (j.status = ANY (ARRAY['provisional'::text, 'overdue'::text])))
         OFFSET 0) s ON (true));

COMMENT ON VIEW serving.daily IS 'The one view to query for a day. Certified batch where it is published; else the stream, marked provisional, or overdue once the nightly run should have been through (02:00 and four hours of grace). A day whose gates failed, or that neither layer has, is NULL with the reason, never a smaller number and never another day''s. Corrections: included in the stream''s figures; certified ones need none.';

CREATE VIEW serving.daily_order_aggregates AS
 SELECT batch_daily.business_date,
    'final'::text AS status,
    batch_daily.as_of,
    batch_daily.order_count,
    batch_daily.revenue_cents,
    batch_daily.cancelled_revenue_cents,
    batch_daily.amended_revenue_cents,
    batch_daily.net_revenue_cents,
    batch_daily.avg_order_value_cents,
    batch_daily.unique_customers,
    batch_daily.units
   FROM serving.batch_daily
UNION ALL
 SELECT s.business_date,
    'provisional'::text AS status,
    s.as_of,
    s.order_count,
    s.revenue_cents,
    s.cancelled_revenue_cents,
    s.amended_revenue_cents,
    s.net_revenue_cents,
    s.avg_order_value_cents,
    s.unique_customers,
    s.units
   FROM serving.speed_daily s
  WHERE (NOT (EXISTS ( SELECT
           FROM serving.batch_daily b
          WHERE (b.business_date = s.business_date))));

COMMENT ON VIEW serving.daily_order_aggregates IS 'Every KPI per business date: provisional, the stream''s, until the batch layer has published the date; then final, the batch layer''s. Corrections: included in the stream''s figures; final ones need none.';

CREATE VIEW serving.history AS
 SELECT v.view,
    v.business_date,
    v.version,
    v.published_at,
    v.superseded_at,
    v.published_by,
    v.pruned_at,
    v.run_id,
    r.kind AS why,
    r.reason,
    r.requested_by,
    r.created_at AS run_began_at,
    r.code_version,
    r.rule_version,
    r.archive_version,
    r.facts_version,
    r.cut,
    d.order_count,
    d.revenue_cents,
    d.cancelled_revenue_cents,
    d.amended_revenue_cents,
    d.net_revenue_cents,
    d.avg_order_value_cents,
    d.unique_customers,
    d.units
   FROM ((batch.versions v
     JOIN batch.runs r USING (run_id))
     LEFT JOIN batch.daily_metrics d ON (((v.view = 'daily_metrics'::text) AND (d.run_id = v.run_id) AND (d.business_date = v.business_date))));

COMMENT ON VIEW serving.history IS 'What was ever published, and why: one row per view, date and version, which is what was said from published_at until superseded_at. The figures are those of the daily metrics, and NULL for the other views. Corrections: none, since they are the batch layer''s.';

CREATE VIEW serving.hourly_distincts AS
 SELECT v.version,
    v.published_at AS as_of,
    d.business_date,
    d.cell_start,
        CASE d.rollup
            WHEN 'category_minutes'::text THEN 'category'::text
            WHEN 'payment_method_minutes'::text THEN 'payment_method'::text
            WHEN 'region_minutes'::text THEN 'region'::text
            ELSE NULL::text
        END AS dimension,
    d.key,
    d.counted,
    d.value
   FROM (batch.versions v
     JOIN batch.hourly_distincts d USING (run_id, business_date))
  WHERE ((v.view = 'daily_metrics'::text) AND (v.superseded_at IS NULL));

COMMENT ON VIEW serving.hourly_distincts IS 'Different customers and products (counted) of each hour of a category, payment method or region (dimension, key), by the batch layer. Exact up to 4,096, beyond that an estimate. Not to be summed: a customer of two hours is one of the day. Corrections: none, since they are the batch layer''s.';

CREATE TABLE speed.categories_entries (
    cell_start timestamp with time zone NOT NULL,
    category text NOT NULL,
    partition integer NOT NULL,
    entry text NOT NULL,
    revenue_cents bigint DEFAULT 0 NOT NULL,
    order_count bigint DEFAULT 0 NOT NULL,
    units bigint DEFAULT 0 NOT NULL,
    cancelled_revenue_cents bigint DEFAULT 0 NOT NULL,
    cancelled_units bigint DEFAULT 0 NOT NULL,
    amended_revenue_cents bigint DEFAULT 0 NOT NULL,
    amended_units bigint DEFAULT 0 NOT NULL,
    CONSTRAINT categories_entries_entry_check CHECK ((entry = ANY (ARRAY['after_final'::text, 'late'::text])))
);

CREATE TABLE speed.categories_finals (
    cell_start timestamp with time zone NOT NULL,
    category text NOT NULL,
    finalised_at timestamp with time zone DEFAULT now() NOT NULL,
    revenue_cents bigint DEFAULT 0 NOT NULL,
    order_count bigint DEFAULT 0 NOT NULL,
    units bigint DEFAULT 0 NOT NULL,
    cancelled_revenue_cents bigint DEFAULT 0 NOT NULL,
    cancelled_units bigint DEFAULT 0 NOT NULL,
    amended_revenue_cents bigint DEFAULT 0 NOT NULL,
    amended_units bigint DEFAULT 0 NOT NULL
);

CREATE TABLE speed.category_hours (
    business_date date NOT NULL,
    pane_start timestamp with time zone NOT NULL,
    category text NOT NULL,
    partition integer NOT NULL,
    revenue_cents bigint DEFAULT 0 NOT NULL,
    order_count bigint DEFAULT 0 NOT NULL,
    units bigint DEFAULT 0 NOT NULL,
    cancelled_revenue_cents bigint DEFAULT 0 NOT NULL,
    cancelled_units bigint DEFAULT 0 NOT NULL,
    amended_revenue_cents bigint DEFAULT 0 NOT NULL,
    amended_units bigint DEFAULT 0 NOT NULL
);

CREATE TABLE speed.finality (
    only_row boolean DEFAULT true NOT NULL,
    up_to timestamp with time zone NOT NULL,
    previously timestamp with time zone,
    closed_before timestamp with time zone NOT NULL,
    CONSTRAINT finality_only_row_check CHECK (only_row)
);

CREATE TABLE speed.orders_entries (
    cell_start timestamp with time zone NOT NULL,
    partition integer NOT NULL,
    entry text NOT NULL,
    revenue_cents bigint DEFAULT 0 NOT NULL,
    order_count bigint DEFAULT 0 NOT NULL,
    units bigint DEFAULT 0 NOT NULL,
    cancelled_revenue_cents bigint DEFAULT 0 NOT NULL,
    amended_revenue_cents bigint DEFAULT 0 NOT NULL,
    CONSTRAINT orders_entries_entry_check CHECK ((entry = ANY (ARRAY['after_final'::text, 'late'::text])))
);

CREATE TABLE speed.orders_finals (
    cell_start timestamp with time zone NOT NULL,
    finalised_at timestamp with time zone DEFAULT now() NOT NULL,
    revenue_cents bigint DEFAULT 0 NOT NULL,
    order_count bigint DEFAULT 0 NOT NULL,
    units bigint DEFAULT 0 NOT NULL,
    cancelled_revenue_cents bigint DEFAULT 0 NOT NULL,
    amended_revenue_cents bigint DEFAULT 0 NOT NULL
);

CREATE VIEW serving.hourly_trend AS
 WITH parts AS (
         SELECT 'orders'::text AS cube,
            date_trunc('hour'::text, order_minutes.pane_start, 'UTC'::text) AS cell_start,
            ''::text AS category,
            'counted'::text AS part,
            order_minutes.revenue_cents,
            order_minutes.order_count,
            order_minutes.units,
            order_minutes.cancelled_revenue_cents,
            order_minutes.amended_revenue_cents
           FROM speed.order_minutes
        UNION ALL
         SELECT 'orders'::text,
            orders_entries.cell_start,
            ''::text AS text,
            orders_entries.entry,
            orders_entries.revenue_cents,
            orders_entries.order_count,
            orders_entries.units,
            orders_entries.cancelled_revenue_cents,
            orders_entries.amended_revenue_cents
           FROM speed.orders_entries
        UNION ALL
         SELECT adjustments.cube,
            adjustments.cell_start,
            adjustments.key,
            'corrected'::text,
                CASE
                    WHEN (adjustments.measure = 'revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'order_count'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'units'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'cancelled_revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'amended_revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case"
           FROM speed.adjustments
          WHERE (adjustments.cube = 'orders'::text)
        UNION ALL
         SELECT 'categories'::text AS cube,
            category_hours.pane_start AS cell_start,
            category_hours.category,
            'counted'::text AS part,
            category_hours.revenue_cents,
            category_hours.order_count,
            category_hours.units,
            category_hours.cancelled_revenue_cents,
            category_hours.amended_revenue_cents
           FROM speed.category_hours
        UNION ALL
         SELECT 'categories'::text,
            categories_entries.cell_start,
            categories_entries.category,
            categories_entries.entry,
            categories_entries.revenue_cents,
            categories_entries.order_count,
            categories_entries.units,
            categories_entries.cancelled_revenue_cents,
            categories_entries.amended_revenue_cents
           FROM speed.categories_entries
        UNION ALL
         SELECT adjustments.cube,
            adjustments.cell_start,
            adjustments.key,
            'corrected'::text,
                CASE
                    WHEN (adjustments.measure = 'revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'order_count'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'units'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'cancelled_revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'amended_revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case"
           FROM speed.adjustments
          WHERE (adjustments.cube = 'categories'::text)
        ), hours AS (
         SELECT parts.cube,
            parts.cell_start,
            parts.category,
            ((COALESCE(sum(parts.revenue_cents) FILTER (WHERE (parts.part = 'counted'::text)), (0)::numeric) - COALESCE(sum(parts.revenue_cents) FILTER (WHERE (parts.part = 'after_final'::text)), (0)::numeric)))::bigint AS revenue_cents,
            (COALESCE(sum(parts.revenue_cents) FILTER (WHERE (parts.part = 'after_final'::text)), (0)::numeric))::bigint AS revenue_cents_after_final,
            (COALESCE(sum(parts.revenue_cents) FILTER (WHERE (parts.part = 'late'::text)), (0)::numeric))::bigint AS revenue_cents_late,
            (COALESCE(sum(parts.revenue_cents) FILTER (WHERE (parts.part = 'corrected'::text)), (0)::numeric))::bigint AS revenue_cents_corrected,
            ((COALESCE(sum(parts.order_count) FILTER (WHERE (parts.part = 'counted'::text)), (0)::numeric) - COALESCE(sum(parts.order_count) FILTER (WHERE (parts.part = 'after_final'::text)), (0)::numeric)))::bigint AS order_count,
            (COALESCE(sum(parts.order_count) FILTER (WHERE (parts.part = 'after_final'::text)), (0)::numeric))::bigint AS order_count_after_final,
            (COALESCE(sum(parts.order_count) FILTER (WHERE (parts.part = 'late'::text)), (0)::numeric))::bigint AS order_count_late,
            (COALESCE(sum(parts.order_count) FILTER (WHERE (parts.part = 'corrected'::text)), (0)::numeric))::bigint AS order_count_corrected,
            ((COALESCE(sum(parts.units) FILTER (WHERE (parts.part = 'counted'::text)), (0)::numeric) - COALESCE(sum(parts.units) FILTER (WHERE (parts.part = 'after_final'::text)), (0)::numeric)))::bigint AS units,
            (COALESCE(sum(parts.units) FILTER (WHERE (parts.part = 'after_final'::text)), (0)::numeric))::bigint AS units_after_final,
            (COALESCE(sum(parts.units) FILTER (WHERE (parts.part = 'late'::text)), (0)::numeric))::bigint AS units_late,
            (COALESCE(sum(parts.units) FILTER (WHERE (parts.part = 'corrected'::text)), (0)::numeric))::bigint AS units_corrected,
            ((COALESCE(sum(parts.cancelled_revenue_cents) FILTER (WHERE (parts.part = 'counted'::text)), (0)::numeric) - COALESCE(sum(parts.cancelled_revenue_cents) FILTER (WHERE (parts.part = 'after_final'::text)), (0)::numeric)))::bigint AS cancelled_revenue_cents,
            (COALESCE(sum(parts.cancelled_revenue_cents) FILTER (WHERE (parts.part = 'after_final'::text)), (0)::numeric))::bigint AS cancelled_revenue_cents_after_final,
            (COALESCE(sum(parts.cancelled_revenue_cents) FILTER (WHERE (parts.part = 'late'::text)), (0)::numeric))::bigint AS cancelled_revenue_cents_late,
            (COALESCE(sum(parts.cancelled_revenue_cents) FILTER (WHERE (parts.part = 'corrected'::text)), (0)::numeric))::bigint AS cancelled_revenue_cents_corrected,
            ((COALESCE(sum(parts.amended_revenue_cents) FILTER (WHERE (parts.part = 'counted'::text)), (0)::numeric) - COALESCE(sum(parts.amended_revenue_cents) FILTER (WHERE (parts.part = 'after_final'::text)), (0)::numeric)))::bigint AS amended_revenue_cents,
            (COALESCE(sum(parts.amended_revenue_cents) FILTER (WHERE (parts.part = 'after_final'::text)), (0)::numeric))::bigint AS amended_revenue_cents_after_final,
            (COALESCE(sum(parts.amended_revenue_cents) FILTER (WHERE (parts.part = 'late'::text)), (0)::numeric))::bigint AS amended_revenue_cents_late,
            (COALESCE(sum(parts.amended_revenue_cents) FILTER (WHERE (parts.part = 'corrected'::text)), (0)::numeric))::bigint AS amended_revenue_cents_corrected
           FROM parts
          GROUP BY parts.cube, parts.cell_start, parts.category
        ), finals AS (
         SELECT 'orders'::text AS cube,
            orders_finals.cell_start,
            ''::text AS category,
            orders_finals.finalised_at,
            orders_finals.revenue_cents,
            orders_finals.order_count,
            orders_finals.units,
            orders_finals.cancelled_revenue_cents,
            orders_finals.amended_revenue_cents
           FROM speed.orders_finals
        UNION ALL
         SELECT 'categories'::text AS cube,
            categories_finals.cell_start,
            categories_finals.category,
            categories_finals.finalised_at,
            categories_finals.revenue_cents,
            categories_finals.order_count,
            categories_finals.units,
            categories_finals.cancelled_revenue_cents,
            categories_finals.amended_revenue_cents
           FROM speed.categories_finals
        )
 SELECT ((hours.cell_start AT TIME ZONE 'UTC'::text))::date AS business_date,
    hours.cell_start,
    hours.category,
        CASE
            WHEN (hours.cell_start < finality.closed_before) THEN 'final'::text
            ELSE 'early'::text
        END AS status,
    finals.finalised_at,
        CASE
            WHEN (NOT (((hours.cell_start AT TIME ZONE 'UTC'::text))::date >=
            CASE hours.cube
                WHEN 'orders'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'order_minutes'::text) AND (measures_since.measure = 'revenue_cents'::text)))
                WHEN 'categories'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'category_hours'::text) AND (measures_since.measure = 'revenue_cents'::text)))
                ELSE NULL::date
            END)) THEN NULL::bigint
            WHEN (hours.cell_start < finality.closed_before) THEN COALESCE(finals.revenue_cents, (0)::bigint)
            ELSE hours.revenue_cents
        END AS revenue_cents,
        CASE
            WHEN (NOT (((hours.cell_start AT TIME ZONE 'UTC'::text))::date >=
            CASE hours.cube
                WHEN 'orders'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'order_minutes'::text) AND (measures_since.measure = 'order_count'::text)))
                WHEN 'categories'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'category_hours'::text) AND (measures_since.measure = 'order_count'::text)))
                ELSE NULL::date
            END)) THEN NULL::bigint
            WHEN (hours.cell_start < finality.closed_before) THEN COALESCE(finals.order_count, (0)::bigint)
            ELSE hours.order_count
        END AS order_count,
        CASE
            WHEN (NOT (((hours.cell_start AT TIME ZONE 'UTC'::text))::date >=
            CASE hours.cube
                WHEN 'orders'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'order_minutes'::text) AND (measures_since.measure = 'units'::text)))
                WHEN 'categories'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'category_hours'::text) AND (measures_since.measure = 'units'::text)))
                ELSE NULL::date
            END)) THEN NULL::bigint
            WHEN (hours.cell_start < finality.closed_before) THEN COALESCE(finals.units, (0)::bigint)
            ELSE hours.units
        END AS units,
        CASE
            WHEN (NOT (((hours.cell_start AT TIME ZONE 'UTC'::text))::date >=
            CASE hours.cube
                WHEN 'orders'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'order_minutes'::text) AND (measures_since.measure = 'cancelled_revenue_cents'::text)))
                WHEN 'categories'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'category_hours'::text) AND (measures_since.measure = 'cancelled_revenue_cents'::text)))
                ELSE NULL::date
            END)) THEN NULL::bigint
            WHEN (hours.cell_start < finality.closed_before) THEN COALESCE(finals.cancelled_revenue_cents, (0)::bigint)
            ELSE hours.cancelled_revenue_cents
        END AS cancelled_revenue_cents,
        CASE
            WHEN (NOT (((hours.cell_start AT TIME ZONE 'UTC'::text))::date >=
            CASE hours.cube
                WHEN 'orders'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'order_minutes'::text) AND (measures_since.measure = 'amended_revenue_cents'::text)))
                WHEN 'categories'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'category_hours'::text) AND (measures_since.measure = 'amended_revenue_cents'::text)))
                ELSE NULL::date
            END)) THEN NULL::bigint
            WHEN (hours.cell_start < finality.closed_before) THEN COALESCE(finals.amended_revenue_cents, (0)::bigint)
            ELSE hours.amended_revenue_cents
        END AS amended_revenue_cents,
        CASE
            WHEN (((hours.cell_start AT TIME ZONE 'UTC'::text))::date >=
            CASE hours.cube
                WHEN 'orders'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'order_minutes'::text) AND (measures_since.measure = 'revenue_cents'::text)))
                WHEN 'categories'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'category_hours'::text) AND (measures_since.measure = 'revenue_cents'::text)))
                ELSE NULL::date
            END) THEN hours.revenue_cents_after_final
            ELSE NULL::bigint
        END AS revenue_cents_after_final,
        CASE
            WHEN (((hours.cell_start AT TIME ZONE 'UTC'::text))::date >=
            CASE hours.cube
                WHEN 'orders'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'order_minutes'::text) AND (measures_since.measure = 'order_count'::text)))
                WHEN 'categories'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'category_hours'::text) AND (measures_since.measure = 'order_count'::text)))
                ELSE NULL::date
            END) THEN hours.order_count_after_final
            ELSE NULL::bigint
        END AS order_count_after_final,
        CASE
            WHEN (((hours.cell_start AT TIME ZONE 'UTC'::text))::date >=
            CASE hours.cube
                WHEN 'orders'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'order_minutes'::text) AND (measures_since.measure = 'units'::text)))
                WHEN 'categories'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'category_hours'::text) AND (measures_since.measure = 'units'::text)))
                ELSE NULL::date
            END) THEN hours.units_after_final
            ELSE NULL::bigint
        END AS units_after_final,
        CASE
            WHEN (((hours.cell_start AT TIME ZONE 'UTC'::text))::date >=
            CASE hours.cube
                WHEN 'orders'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'order_minutes'::text) AND (measures_since.measure = 'cancelled_revenue_cents'::text)))
                WHEN 'categories'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'category_hours'::text) AND (measures_since.measure = 'cancelled_revenue_cents'::text)))
                ELSE NULL::date
            END) THEN hours.cancelled_revenue_cents_after_final
            ELSE NULL::bigint
        END AS cancelled_revenue_cents_after_final,
        CASE
            WHEN (((hours.cell_start AT TIME ZONE 'UTC'::text))::date >=
            CASE hours.cube
                WHEN 'orders'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'order_minutes'::text) AND (measures_since.measure = 'amended_revenue_cents'::text)))
                WHEN 'categories'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'category_hours'::text) AND (measures_since.measure = 'amended_revenue_cents'::text)))
                ELSE NULL::date
            END) THEN hours.amended_revenue_cents_after_final
            ELSE NULL::bigint
        END AS amended_revenue_cents_after_final,
        CASE
            WHEN (((hours.cell_start AT TIME ZONE 'UTC'::text))::date >=
            CASE hours.cube
                WHEN 'orders'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'order_minutes'::text) AND (measures_since.measure = 'revenue_cents'::text)))
                WHEN 'categories'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'category_hours'::text) AND (measures_since.measure = 'revenue_cents'::text)))
                ELSE NULL::date
            END) THEN hours.revenue_cents_late
            ELSE NULL::bigint
        END AS revenue_cents_late,
        CASE
            WHEN (((hours.cell_start AT TIME ZONE 'UTC'::text))::date >=
            CASE hours.cube
                WHEN 'orders'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'order_minutes'::text) AND (measures_since.measure = 'order_count'::text)))
                WHEN 'categories'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'category_hours'::text) AND (measures_since.measure = 'order_count'::text)))
                ELSE NULL::date
            END) THEN hours.order_count_late
            ELSE NULL::bigint
        END AS order_count_late,
        CASE
            WHEN (((hours.cell_start AT TIME ZONE 'UTC'::text))::date >=
            CASE hours.cube
                WHEN 'orders'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'order_minutes'::text) AND (measures_since.measure = 'units'::text)))
                WHEN 'categories'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'category_hours'::text) AND (measures_since.measure = 'units'::text)))
                ELSE NULL::date
            END) THEN hours.units_late
            ELSE NULL::bigint
        END AS units_late,
        CASE
            WHEN (((hours.cell_start AT TIME ZONE 'UTC'::text))::date >=
            CASE hours.cube
                WHEN 'orders'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'order_minutes'::text) AND (measures_since.measure = 'cancelled_revenue_cents'::text)))
                WHEN 'categories'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'category_hours'::text) AND (measures_since.measure = 'cancelled_revenue_cents'::text)))
                ELSE NULL::date
            END) THEN hours.cancelled_revenue_cents_late
            ELSE NULL::bigint
        END AS cancelled_revenue_cents_late,
        CASE
            WHEN (((hours.cell_start AT TIME ZONE 'UTC'::text))::date >=
            CASE hours.cube
                WHEN 'orders'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'order_minutes'::text) AND (measures_since.measure = 'amended_revenue_cents'::text)))
                WHEN 'categories'::text THEN ( SELECT measures_since.since
                   FROM speed.measures_since
                  WHERE ((measures_since.table_name = 'category_hours'::text) AND (measures_since.measure = 'amended_revenue_cents'::text)))
                ELSE NULL::date
            END) THEN hours.amended_revenue_cents_late
            ELSE NULL::bigint
        END AS amended_revenue_cents_late,
    hours.revenue_cents_corrected,
    hours.order_count_corrected,
    hours.units_corrected,
    hours.cancelled_revenue_cents_corrected,
    hours.amended_revenue_cents_corrected
   FROM ((hours
     LEFT JOIN finals USING (cube, cell_start, category))
     LEFT JOIN speed.finality ON (true));

COMMENT ON VIEW serving.hourly_trend IS 'The stream per hour, in all (category '''') and per category. A result is early until the hour is final; then it is the row that was written once, and never changes. Beside it stand what came after that (..._after_final) and what came too late to be counted (..._late). Corrections: not included; they are beside it, in ..._corrected.';

CREATE VIEW serving.order_days AS
 SELECT v.business_date,
    'final'::text AS status,
    v.published_at AS as_of,
    (sum(cell.revenue_cents))::bigint AS revenue_cents,
    (sum(cell.order_count))::bigint AS order_count,
    (sum(cell.units))::bigint AS units,
    (sum(cell.cancelled_revenue_cents))::bigint AS cancelled_revenue_cents,
    (sum(cell.amended_revenue_cents))::bigint AS amended_revenue_cents
   FROM (batch.versions v
     JOIN batch.order_hours cell USING (run_id, business_date))
  WHERE ((v.view = 'daily_metrics'::text) AND (v.superseded_at IS NULL))
  GROUP BY v.business_date, v.published_at
UNION ALL
 SELECT measured.business_date,
    'provisional'::text AS status,
    progress.as_of,
    measured.revenue_cents,
    measured.order_count,
    measured.units,
    measured.cancelled_revenue_cents,
    measured.amended_revenue_cents
   FROM serving.speed_daily_measures measured,
    ( SELECT max(partitions.updated_at) AS as_of
           FROM speed.partitions) progress
  WHERE (NOT (EXISTS ( SELECT
           FROM batch.versions v
          WHERE ((v.view = 'daily_metrics'::text) AND (v.superseded_at IS NULL) AND (v.business_date = measured.business_date)))));

COMMENT ON VIEW serving.order_days IS 'Orders per business date: provisional, the stream''s, until the batch layer has published the date; then final, the batch layer''s. Corrections: included in the stream''s figures; final ones need none.';

CREATE TABLE speed.customer_months (
    month date NOT NULL,
    customer_id text NOT NULL
);

CREATE TABLE speed.month_customers (
    month date NOT NULL,
    customers bigint NOT NULL
);

CREATE VIEW speed.month_customers_all AS
 SELECT month,
    (sum(customers))::bigint AS customers
   FROM ( SELECT month_customers.month,
            month_customers.customers
           FROM speed.month_customers
        UNION ALL
         SELECT waiting.month,
            count(*) AS count
           FROM ( SELECT DISTINCT (date_trunc('month'::text, (customer_days_pending.business_date)::timestamp without time zone))::date AS month,
                    one.customer_id
                   FROM speed.customer_days_pending,
                    LATERAL unnest(customer_days_pending.customer_id) one(customer_id)) waiting
          WHERE (( SELECT true
                   FROM speed.customer_months held
                  WHERE ((held.month = waiting.month) AND (held.customer_id = waiting.customer_id))) IS NULL)
          GROUP BY waiting.month) parts
  GROUP BY month;

CREATE VIEW serving.monthly_order_aggregates AS
 SELECT measured.month,
        CASE
            WHEN (measured.all_final AND (published.days = (measured.month_end -
            CASE
                WHEN ((installed.day <= measured.month) OR published.before) THEN measured.month
                ELSE LEAST(published.first_day, installed.day)
            END))) THEN 'final'::text
            ELSE 'provisional'::text
        END AS status,
    measured.as_of,
        CASE
            WHEN (NOT COALESCE(lacks.order_count, false)) THEN measured.order_count
            ELSE NULL::bigint
        END AS order_count,
        CASE
            WHEN (NOT COALESCE(lacks.revenue_cents, false)) THEN measured.revenue_cents
            ELSE NULL::bigint
        END AS revenue_cents,
        CASE
            WHEN (NOT COALESCE(lacks.cancelled_revenue_cents, false)) THEN measured.cancelled_revenue_cents
            ELSE NULL::bigint
        END AS cancelled_revenue_cents,
        CASE
            WHEN (NOT COALESCE(lacks.amended_revenue_cents, false)) THEN measured.amended_revenue_cents
            ELSE NULL::bigint
        END AS amended_revenue_cents,
        CASE
            WHEN (NOT COALESCE(lacks.net_revenue_cents, false)) THEN ((((+ 1) * measured.revenue_cents) + (1 * measured.amended_revenue_cents)) - (1 * measured.cancelled_revenue_cents))
            ELSE NULL::bigint
        END AS net_revenue_cents,
    (((2 * measured.revenue_cents) + measured.order_count) / (2 * NULLIF(measured.order_count, 0))) AS avg_order_value_cents,
    counted.unique_customers,
        CASE
            WHEN (NOT COALESCE(lacks.units, false)) THEN measured.units
            ELSE NULL::bigint
        END AS units
   FROM ((((( SELECT (date_trunc('month'::text, (order_days.business_date)::timestamp with time zone))::date AS month,
            max(order_days.as_of) AS as_of,
            ((date_trunc('month'::text, (order_days.business_date)::timestamp with time zone) + '1 mon'::interval))::date AS month_end,
            bool_and((order_days.status = 'final'::text)) AS all_final,
                CASE
                    WHEN (count(order_days.revenue_cents) = count(*)) THEN (sum(order_days.revenue_cents))::bigint
                    ELSE NULL::bigint
                END AS revenue_cents,
                CASE
                    WHEN (count(order_days.order_count) = count(*)) THEN (sum(order_days.order_count))::bigint
                    ELSE NULL::bigint
                END AS order_count,
                CASE
                    WHEN (count(order_days.units) = count(*)) THEN (sum(order_days.units))::bigint
                    ELSE NULL::bigint
                END AS units,
                CASE
                    WHEN (count(order_days.cancelled_revenue_cents) = count(*)) THEN (sum(order_days.cancelled_revenue_cents))::bigint
                    ELSE NULL::bigint
                END AS cancelled_revenue_cents,
                CASE
                    WHEN (count(order_days.amended_revenue_cents) = count(*)) THEN (sum(order_days.amended_revenue_cents))::bigint
                    ELSE NULL::bigint
                END AS amended_revenue_cents
           FROM serving.order_days
          GROUP BY (date_trunc('month'::text, (order_days.business_date)::timestamp with time zone))) measured
     CROSS JOIN ( SELECT ((installation.installed_at AT TIME ZONE 'UTC'::text))::date AS day
           FROM public.installation) installed)
     CROSS JOIN LATERAL ( SELECT count(*) FILTER (WHERE (versions.business_date >= measured.month)) AS days,
            min(versions.business_date) FILTER (WHERE (versions.business_date >= measured.month)) AS first_day,
            COALESCE(bool_or((versions.business_date < measured.month)), false) AS before
           FROM batch.versions
          WHERE ((versions.view = 'daily_metrics'::text) AND (versions.superseded_at IS NULL) AND (versions.business_date >= (measured.month - '1 mon'::interval)) AND (versions.business_date < measured.month_end))) published)
     CROSS JOIN LATERAL ( SELECT bool_or((d.order_count IS NULL)) AS order_count,
            bool_or((d.revenue_cents IS NULL)) AS revenue_cents,
            bool_or((d.cancelled_revenue_cents IS NULL)) AS cancelled_revenue_cents,
            bool_or((d.amended_revenue_cents IS NULL)) AS amended_revenue_cents,
            bool_or((d.net_revenue_cents IS NULL)) AS net_revenue_cents,
            bool_or((d.avg_order_value_cents IS NULL)) AS avg_order_value_cents,
            bool_or((d.unique_customers IS NULL)) AS unique_customers,
            bool_or((d.units IS NULL)) AS units
           FROM (batch.versions v
             JOIN batch.daily_metrics d USING (run_id, business_date))
          WHERE ((v.view = 'daily_metrics'::text) AND (v.superseded_at IS NULL) AND (v.business_date >= measured.month) AND (v.business_date < measured.month_end) AND (NOT (EXISTS ( SELECT
                   FROM batch.order_hours h
                  WHERE ((h.run_id = v.run_id) AND (h.business_date = v.business_date))))))) lacks)
     LEFT JOIN LATERAL ( SELECT COALESCE(( SELECT c.customers
                   FROM speed.month_customers_all c
                  WHERE (c.month = measured.month)), (0)::bigint) AS unique_customers) counted ON (true));

COMMENT ON VIEW serving.monthly_order_aggregates IS 'Every KPI per month of business dates, named by its first: the days of order_days added up. final when the month is over and each of its days is published: from its first on where Tandem was installed by then or a day of the month before is published, else from the installation on, or from the first that is where that is earlier. unique_customers are those that the stream has seen, because those of days cannot be added up. Corrections: included in days that are not final, but not in unique_customers.';

CREATE TABLE speed.product_totals (
    partition integer NOT NULL,
    product_id text NOT NULL,
    first_order_time timestamp with time zone,
    last_order_time timestamp with time zone,
    revenue_cents bigint DEFAULT 0 NOT NULL,
    order_count bigint DEFAULT 0 NOT NULL,
    units bigint DEFAULT 0 NOT NULL,
    cancelled_revenue_cents bigint DEFAULT 0 NOT NULL,
    cancelled_units bigint DEFAULT 0 NOT NULL,
    amended_revenue_cents bigint DEFAULT 0 NOT NULL,
    amended_units bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='70');

CREATE TABLE speed.product_totals_pending (
    product_id text[],
    first_order_time timestamp with time zone[],
    last_order_time timestamp with time zone[],
    revenue_cents bigint[],
    order_count bigint[],
    units bigint[],
    cancelled_revenue_cents bigint[],
    cancelled_units bigint[],
    amended_revenue_cents bigint[],
    amended_units bigint[]
);
ALTER TABLE ONLY speed.product_totals_pending ALTER COLUMN product_id SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.product_totals_pending ALTER COLUMN first_order_time SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.product_totals_pending ALTER COLUMN last_order_time SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.product_totals_pending ALTER COLUMN revenue_cents SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.product_totals_pending ALTER COLUMN order_count SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.product_totals_pending ALTER COLUMN units SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.product_totals_pending ALTER COLUMN cancelled_revenue_cents SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.product_totals_pending ALTER COLUMN cancelled_units SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.product_totals_pending ALTER COLUMN amended_revenue_cents SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.product_totals_pending ALTER COLUMN amended_units SET STORAGE EXTERNAL;

CREATE VIEW speed.product_totals_all AS
 SELECT product_totals.partition,
    product_totals.product_id,
    product_totals.first_order_time,
    product_totals.last_order_time,
    product_totals.revenue_cents,
    product_totals.order_count,
    product_totals.units,
    product_totals.cancelled_revenue_cents,
    product_totals.cancelled_units,
    product_totals.amended_revenue_cents,
    product_totals.amended_units
   FROM speed.product_totals
UNION ALL
 SELECT '-1'::integer AS partition,
    one.product_id,
    one.first_order_time,
    one.last_order_time,
    COALESCE(one.revenue_cents, (0)::bigint) AS revenue_cents,
    COALESCE(one.order_count, (0)::bigint) AS order_count,
    COALESCE(one.units, (0)::bigint) AS units,
    COALESCE(one.cancelled_revenue_cents, (0)::bigint) AS cancelled_revenue_cents,
    COALESCE(one.cancelled_units, (0)::bigint) AS cancelled_units,
    COALESCE(one.amended_revenue_cents, (0)::bigint) AS amended_revenue_cents,
    COALESCE(one.amended_units, (0)::bigint) AS amended_units
   FROM speed.product_totals_pending held,
    LATERAL UNNEST(held.product_id, held.first_order_time, held.last_order_time, held.revenue_cents, held.order_count, held.units, held.cancelled_revenue_cents, held.cancelled_units, held.amended_revenue_cents, held.amended_units) one(product_id, first_order_time, last_order_time, revenue_cents, order_count, units, cancelled_revenue_cents, cancelled_units, amended_revenue_cents, amended_units);

CREATE VIEW serving.product_metrics AS
 SELECT product_id,
    revenue_cents,
    order_count,
    units,
    cancelled_revenue_cents,
    cancelled_units,
    amended_revenue_cents,
    amended_units,
    ((revenue_cents + amended_revenue_cents) - cancelled_revenue_cents) AS net_revenue_cents,
    first_order_time,
    last_order_time
   FROM ( SELECT totals.product_id,
                CASE
                    WHEN ('-infinity'::date >= ( SELECT measures_since.since
                       FROM speed.measures_since
                      WHERE ((measures_since.table_name = 'product_totals'::text) AND (measures_since.measure = 'revenue_cents'::text)))) THEN (sum(totals.revenue_cents))::bigint
                    ELSE NULL::bigint
                END AS revenue_cents,
                CASE
                    WHEN ('-infinity'::date >= ( SELECT measures_since.since
                       FROM speed.measures_since
                      WHERE ((measures_since.table_name = 'product_totals'::text) AND (measures_since.measure = 'order_count'::text)))) THEN (sum(totals.order_count))::bigint
                    ELSE NULL::bigint
                END AS order_count,
                CASE
                    WHEN ('-infinity'::date >= ( SELECT measures_since.since
                       FROM speed.measures_since
                      WHERE ((measures_since.table_name = 'product_totals'::text) AND (measures_since.measure = 'units'::text)))) THEN (sum(totals.units))::bigint
                    ELSE NULL::bigint
                END AS units,
                CASE
                    WHEN ('-infinity'::date >= ( SELECT measures_since.since
                       FROM speed.measures_since
                      WHERE ((measures_since.table_name = 'product_totals'::text) AND (measures_since.measure = 'cancelled_revenue_cents'::text)))) THEN (sum(totals.cancelled_revenue_cents))::bigint
                    ELSE NULL::bigint
                END AS cancelled_revenue_cents,
                CASE
                    WHEN ('-infinity'::date >= ( SELECT measures_since.since
                       FROM speed.measures_since
                      WHERE ((measures_since.table_name = 'product_totals'::text) AND (measures_since.measure = 'cancelled_units'::text)))) THEN (sum(totals.cancelled_units))::bigint
                    ELSE NULL::bigint
                END AS cancelled_units,
                CASE
                    WHEN ('-infinity'::date >= ( SELECT measures_since.since
                       FROM speed.measures_since
                      WHERE ((measures_since.table_name = 'product_totals'::text) AND (measures_since.measure = 'amended_revenue_cents'::text)))) THEN (sum(totals.amended_revenue_cents))::bigint
                    ELSE NULL::bigint
                END AS amended_revenue_cents,
                CASE
                    WHEN ('-infinity'::date >= ( SELECT measures_since.since
                       FROM speed.measures_since
                      WHERE ((measures_since.table_name = 'product_totals'::text) AND (measures_since.measure = 'amended_units'::text)))) THEN (sum(totals.amended_units))::bigint
                    ELSE NULL::bigint
                END AS amended_units,
            min(totals.first_order_time) AS first_order_time,
            max(totals.last_order_time) AS last_order_time
           FROM ( SELECT product_totals_all.product_id,
                    product_totals_all.revenue_cents,
                    product_totals_all.order_count,
                    product_totals_all.units,
                    product_totals_all.cancelled_revenue_cents,
                    product_totals_all.cancelled_units,
                    product_totals_all.amended_revenue_cents,
                    product_totals_all.amended_units,
                    product_totals_all.first_order_time,
                    product_totals_all.last_order_time
                   FROM speed.product_totals_all
                UNION ALL
                 SELECT adjustments.key,
                        CASE
                            WHEN (adjustments.measure = 'revenue_cents'::text) THEN adjustments.delta
                            ELSE (0)::bigint
                        END AS "case",
                        CASE
                            WHEN (adjustments.measure = 'order_count'::text) THEN adjustments.delta
                            ELSE (0)::bigint
                        END AS "case",
                        CASE
                            WHEN (adjustments.measure = 'units'::text) THEN adjustments.delta
                            ELSE (0)::bigint
                        END AS "case",
                        CASE
                            WHEN (adjustments.measure = 'cancelled_revenue_cents'::text) THEN adjustments.delta
                            ELSE (0)::bigint
                        END AS "case",
                        CASE
                            WHEN (adjustments.measure = 'cancelled_units'::text) THEN adjustments.delta
                            ELSE (0)::bigint
                        END AS "case",
                        CASE
                            WHEN (adjustments.measure = 'amended_revenue_cents'::text) THEN adjustments.delta
                            ELSE (0)::bigint
                        END AS "case",
                        CASE
                            WHEN (adjustments.measure = 'amended_units'::text) THEN adjustments.delta
                            ELSE (0)::bigint
                        END AS "case",
                    NULL::timestamp with time zone,
                    NULL::timestamp with time zone
                   FROM speed.adjustments
                  WHERE (adjustments.cube = 'products'::text)) totals
          GROUP BY totals.product_id) kept;

COMMENT ON VIEW serving.product_metrics IS 'Per product, of all time, of the stream. order_count, units and revenue_cents are orders created; cancellations and amendments stand beside them, net_revenue_cents = revenue + amended - cancelled. Order times are event times of orders created. NULL: a measure that was declared after the first events, until a rebuild. Corrections: included.';

CREATE VIEW serving.product_rankings_dates AS
 WITH judged AS (
         SELECT v.business_date,
            v.version,
            v.published_at AS as_of,
            v.run_id,
            (m.run_id IS NOT NULL) AS noted,
            ((COALESCE(earlier.state, ''::text) = 'unchecked'::text))::integer AS unchecked,
            ((COALESCE(earlier.state, ''::text) = ANY (ARRAY['refused'::text, 'lost'::text])))::integer AS left_out,
                CASE
                    WHEN (m.run_id IS NULL) THEN COALESCE(((earlier.state = 'published'::text) AND (r.facts_version < earlier.facts_version)), false)
                    ELSE (m.fingerprint <> COALESCE(earlier.print, (0)::numeric))
                END AS stale,
                CASE
                    WHEN (m.run_id IS NULL) THEN COALESCE((earlier.state = ANY (ARRAY['refused'::text, 'lost'::text])), false)
                    ELSE ((m.fingerprint = batch.print_of((v.business_date - 1), NULL::bigint)) OR ((m.fingerprint = (0)::numeric) AND (earlier.state IS NOT NULL)))
                END AS without_day_before
           FROM (((batch.versions v
             JOIN batch.runs r USING (run_id))
             LEFT JOIN batch.facts_read earlier ON ((earlier.business_date = (v.business_date - 1))))
             LEFT JOIN batch.made_of m ON (((m.run_id = v.run_id) AND (m.view = 'product_rankings'::text))))
          WHERE ((v.view = 'product_rankings'::text) AND (v.superseded_at IS NULL))
        )
 SELECT business_date,
    version,
    as_of,
    run_id,
    stale,
        CASE
            WHEN stale THEN 'stale'::text
            WHEN (left_out > 0) THEN 'incomplete'::text
            WHEN ((unchecked > 0) OR (NOT noted)) THEN 'unchecked'::text
            ELSE 'certified'::text
        END AS status,
        CASE
            WHEN stale THEN 'the day before was published, refused or built anew since: the next restatement makes them anew'::text
            WHEN (left_out > 0) THEN 'without the day before, whose facts the gate refused, or that are lost'::text
            WHEN (unchecked > 0) THEN 'with the day before, which nobody has published'::text
            WHEN (NOT noted) THEN 'an older release made them, which did not note of which facts'::text
            ELSE ''::text
        END AS reason,
    without_day_before
   FROM judged;

COMMENT ON VIEW serving.product_rankings_dates IS 'The dates with rankings of products. status: certified; unchecked, the day before, from which products moved, is not published, and no gate has passed it; incomplete, its facts were refused by the gate, or are lost, and it is left out, so that nothing is known of movements; stale, it was published, refused or built anew since, and ranks before, changes of rank and movements do not yet know: the next restatement recomputes them. without_day_before: they were made without it. Corrections: none, since they are the batch layer''s.';

CREATE VIEW serving.product_rankings AS
 SELECT d.version,
    d.as_of,
    r.run_id,
    r.business_date,
    r.scope,
    r.scope_key,
    r.measure,
    r.product_id,
    r.category,
    r.value,
    r.rank,
    r.previous_rank,
    r.rank_change,
        CASE
            WHEN (NOT d.without_day_before) THEN r.movement
            ELSE NULL::text
        END AS movement,
    r.share,
    r.cumulative_share,
        CASE
            WHEN (r.rank IS NULL) THEN NULL::text
            WHEN (COALESCE(r.share, (0)::double precision) = (0)::double precision) THEN 'C'::text
            WHEN ((r.cumulative_share - r.share) < ((0.8 - 0.000000000001))::double precision) THEN 'A'::text
            WHEN ((r.cumulative_share - r.share) < ((0.95 - 0.000000000001))::double precision) THEN 'B'::text
            ELSE 'C'::text
        END AS abc_class,
    d.stale,
    d.status
   FROM (serving.product_rankings_dates d
     JOIN batch.product_rankings r USING (run_id, business_date));

COMMENT ON VIEW serving.product_rankings IS 'The published rankings of products; what status says is told by product_rankings_dates. abc_class: A is what it takes, from the top, to make 80 percent of the positive total, B what it takes to make 95, C the rest; NULL for a product that dropped out. movement: between two days'' lists, which also have what was only taken back; NULL where they were made without the day before, so that it is not known. Corrections: none, since they are the batch layer''s.';

CREATE TABLE speed.quality (
    pane_start timestamp with time zone NOT NULL,
    partition integer NOT NULL,
    decision text NOT NULL,
    reasons text NOT NULL,
    events bigint NOT NULL
)
WITH (fillfactor='70');

CREATE VIEW serving.quality_metrics AS
 SELECT pane_start AS window_start,
    (pane_start + '00:05:00'::interval) AS window_end,
    (sum(events))::bigint AS records,
    (COALESCE(sum(events) FILTER (WHERE (decision <> 'quarantined'::text)), (0)::numeric))::bigint AS valid,
    (COALESCE(sum(events) FILTER (WHERE (decision = 'quarantined'::text)), (0)::numeric))::bigint AS invalid,
    (COALESCE(sum(events) FILTER (WHERE ((decision <> 'quarantined'::text) AND (reasons <> ''::text))), (0)::numeric))::bigint AS warnings,
    (COALESCE(sum(events) FILTER (WHERE (decision = 'duplicate'::text)), (0)::numeric))::bigint AS duplicate,
    (COALESCE(sum(events) FILTER (WHERE (decision = 'late'::text)), (0)::numeric))::bigint AS late,
    ( SELECT COALESCE(jsonb_object_agg(codes.code, codes.failed), '{}'::jsonb) AS "coalesce"
           FROM ( SELECT code.code,
                    (sum(q.events))::bigint AS failed
                   FROM speed.quality q,
                    LATERAL unnest(string_to_array(NULLIF(q.reasons, ''::text), ','::text)) code(code)
                  WHERE (q.pane_start = held.pane_start)
                  GROUP BY code.code) codes) AS issues,
    round((COALESCE(sum(events) FILTER (WHERE (decision <> 'quarantined'::text)), (0)::numeric) / sum(events)), 4) AS quality_score
   FROM speed.quality held
  GROUP BY pane_start;

COMMENT ON VIEW serving.quality_metrics IS 'How good the records of five minutes were. valid: no critical check failed; quality_score = valid / records. Records of event types that are not in the contract are not counted. Corrections: none, since records are counted.';

CREATE VIEW serving.revenue_windows AS
 SELECT window_start.window_start,
    (window_start.window_start + '00:05:00'::interval) AS window_end,
    (sum(order_minutes.revenue_cents))::bigint AS revenue_cents,
    (sum(order_minutes.order_count))::bigint AS order_count,
    (((2 * (sum(order_minutes.revenue_cents))::bigint) + (sum(order_minutes.order_count))::bigint) / (2 * NULLIF((sum(order_minutes.order_count))::bigint, 0))) AS avg_order_value_cents
   FROM speed.order_minutes,
    LATERAL generate_series((order_minutes.pane_start - '00:04:00'::interval), order_minutes.pane_start, '00:01:00'::interval) window_start(window_start)
  GROUP BY window_start.window_start;

COMMENT ON VIEW serving.revenue_windows IS 'Revenue of the stream over 5 minutes, hopping by 1 minute, [window_start, window_end). Corrections: not included; they are made per hour.';

CREATE VIEW serving.rfm_dates AS
 WITH dates AS (
         SELECT versions.business_date
           FROM batch.versions
          WHERE ((versions.view = 'rfm'::text) AND (versions.superseded_at IS NULL))
        UNION
         SELECT facts_read.business_date
           FROM batch.facts_read
        ), known AS (
         SELECT dates.business_date,
            facts_read.state,
            facts_read.facts_version,
            COALESCE(sum(facts_read.print) OVER earlier, (0)::numeric) AS fingerprint,
            count(*) FILTER (WHERE (facts_read.state = 'unchecked'::text)) OVER earlier AS unchecked,
            min(dates.business_date) FILTER (WHERE (facts_read.state = 'unchecked'::text)) OVER earlier AS first_unchecked,
            count(*) FILTER (WHERE (facts_read.state = ANY (ARRAY['refused'::text, 'lost'::text]))) OVER earlier AS left_out,
            min(dates.business_date) FILTER (WHERE (facts_read.state = ANY (ARRAY['refused'::text, 'lost'::text]))) OVER earlier AS first_left_out,
            max(facts_read.facts_version) FILTER (WHERE (facts_read.state = 'published'::text)) OVER (ORDER BY dates.business_date) AS newest
           FROM (dates
             LEFT JOIN batch.facts_read USING (business_date))
          WINDOW earlier AS (ORDER BY dates.business_date ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
        ), judged AS (
         SELECT v.business_date,
            v.version,
            v.published_at AS as_of,
            v.run_id,
            (m.run_id IS NOT NULL) AS noted,
            known.unchecked,
            known.first_unchecked,
            known.left_out,
            known.first_left_out,
                CASE
                    WHEN (m.run_id IS NULL) THEN COALESCE((r.facts_version < known.newest), false)
                    ELSE ((m.fingerprint <> known.fingerprint) OR COALESCE(((known.state = 'published'::text) AND (r.facts_version < known.facts_version)), false))
                END AS stale
           FROM (((batch.versions v
             JOIN batch.runs r USING (run_id, business_date))
             JOIN known USING (business_date))
             LEFT JOIN batch.made_of m ON (((m.run_id = v.run_id) AND (m.view = 'rfm'::text))))
          WHERE ((v.view = 'rfm'::text) AND (v.superseded_at IS NULL))
        )
 SELECT business_date,
    version,
    as_of,
    run_id,
    stale,
        CASE
            WHEN stale THEN 'stale'::text
            WHEN (left_out > 0) THEN 'incomplete'::text
            WHEN ((unchecked > 0) OR (NOT noted)) THEN 'unchecked'::text
            ELSE 'certified'::text
        END AS status,
        CASE
            WHEN stale THEN 'a date up to it was published, refused or built anew since: the next restatement makes them anew'::text
            WHEN (left_out > 0) THEN (((((('without '::text || left_out) || ' earlier date'::text) ||
            CASE
                WHEN (left_out > 1) THEN 's'::text
                ELSE ''::text
            END) || ' whose facts the gate refused, or that are lost (the first is '::text) || first_left_out) || ')'::text)
            WHEN (unchecked > 0) THEN (((((('with '::text || unchecked) || ' earlier date'::text) ||
            CASE
                WHEN (unchecked > 1) THEN 's'::text
                ELSE ''::text
            END) || ' that nobody has published (the first is '::text) || first_unchecked) || ')'::text)
            WHEN (NOT noted) THEN 'an older release made them, which did not note of which facts'::text
            ELSE ''::text
        END AS reason,
    unchecked AS dates_unchecked,
    left_out AS dates_left_out
   FROM judged;

COMMENT ON VIEW serving.rfm_dates IS 'The dates with RFM segments. status: certified, made of published dates alone; unchecked, of dates too that nobody has published (dates_unchecked) and no gate has passed; incomplete, without dates whose facts their gate refused, or that are lost (dates_left_out); stale, an earlier date, or the date itself, was published, refused or built anew since, and the segments do not yet know: the next restatement recomputes them. Counts of dates are as of now. Corrections: none, since they are the batch layer''s.';

CREATE VIEW serving.rfm AS
 SELECT d.version,
    d.as_of,
    d.stale,
    d.status,
    r.run_id,
    r.business_date,
    r.customer_id,
    r.recency_days,
    r.frequency,
    r.monetary_cents,
    r.recency_score,
    r.frequency_score,
    r.monetary_score,
    r.grid,
    r.grid_version,
    r.segment,
    r.previous_segment,
    r.flags
   FROM (serving.rfm_dates d
     JOIN batch.rfm r USING (run_id, business_date));

COMMENT ON VIEW serving.rfm IS 'The published RFM segments per date and customer; what status says is told by rfm_dates. Corrections: none, since they are the batch layer''s.';

CREATE VIEW serving.rfm_transitions AS
 SELECT business_date,
    grid,
    grid_version,
    COALESCE(previous_segment, ''::text) AS previous_segment,
    segment,
    count(*) AS customers,
    version,
    as_of,
    stale,
    status
   FROM serving.rfm
  GROUP BY business_date, grid, grid_version, COALESCE(previous_segment, ''::text), segment, version, as_of, stale, status;

COMMENT ON VIEW serving.rfm_transitions IS 'From which segment to which, as against the day before; '''' is who bought for the first time. The customers of a date and grid add up to all who ever bought. Corrections: none, since they are the batch layer''s.';

CREATE VIEW serving.speed_category_hours AS
 SELECT business_date,
    cell_start,
    category,
        CASE
            WHEN (business_date >= ( SELECT measures_since.since
               FROM speed.measures_since
              WHERE ((measures_since.table_name = 'category_hours'::text) AND (measures_since.measure = 'revenue_cents'::text)))) THEN (sum(revenue_cents))::bigint
            ELSE NULL::bigint
        END AS revenue_cents,
    (sum(revenue_cents_adjusted))::bigint AS revenue_cents_adjusted,
        CASE
            WHEN (business_date >= ( SELECT measures_since.since
               FROM speed.measures_since
              WHERE ((measures_since.table_name = 'category_hours'::text) AND (measures_since.measure = 'order_count'::text)))) THEN (sum(order_count))::bigint
            ELSE NULL::bigint
        END AS order_count,
    (sum(order_count_adjusted))::bigint AS order_count_adjusted,
        CASE
            WHEN (business_date >= ( SELECT measures_since.since
               FROM speed.measures_since
              WHERE ((measures_since.table_name = 'category_hours'::text) AND (measures_since.measure = 'units'::text)))) THEN (sum(units))::bigint
            ELSE NULL::bigint
        END AS units,
    (sum(units_adjusted))::bigint AS units_adjusted,
        CASE
            WHEN (business_date >= ( SELECT measures_since.since
               FROM speed.measures_since
              WHERE ((measures_since.table_name = 'category_hours'::text) AND (measures_since.measure = 'cancelled_revenue_cents'::text)))) THEN (sum(cancelled_revenue_cents))::bigint
            ELSE NULL::bigint
        END AS cancelled_revenue_cents,
    (sum(cancelled_revenue_cents_adjusted))::bigint AS cancelled_revenue_cents_adjusted,
        CASE
            WHEN (business_date >= ( SELECT measures_since.since
               FROM speed.measures_since
              WHERE ((measures_since.table_name = 'category_hours'::text) AND (measures_since.measure = 'cancelled_units'::text)))) THEN (sum(cancelled_units))::bigint
            ELSE NULL::bigint
        END AS cancelled_units,
    (sum(cancelled_units_adjusted))::bigint AS cancelled_units_adjusted,
        CASE
            WHEN (business_date >= ( SELECT measures_since.since
               FROM speed.measures_since
              WHERE ((measures_since.table_name = 'category_hours'::text) AND (measures_since.measure = 'amended_revenue_cents'::text)))) THEN (sum(amended_revenue_cents))::bigint
            ELSE NULL::bigint
        END AS amended_revenue_cents,
    (sum(amended_revenue_cents_adjusted))::bigint AS amended_revenue_cents_adjusted,
        CASE
            WHEN (business_date >= ( SELECT measures_since.since
               FROM speed.measures_since
              WHERE ((measures_since.table_name = 'category_hours'::text) AND (measures_since.measure = 'amended_units'::text)))) THEN (sum(amended_units))::bigint
            ELSE NULL::bigint
        END AS amended_units,
    (sum(amended_units_adjusted))::bigint AS amended_units_adjusted
   FROM ( SELECT category_hours.business_date,
            category_hours.pane_start AS cell_start,
            category_hours.category AS key,
            category_hours.revenue_cents,
            (0)::bigint AS revenue_cents_adjusted,
            category_hours.order_count,
            (0)::bigint AS order_count_adjusted,
            category_hours.units,
            (0)::bigint AS units_adjusted,
            category_hours.cancelled_revenue_cents,
            (0)::bigint AS cancelled_revenue_cents_adjusted,
            category_hours.cancelled_units,
            (0)::bigint AS cancelled_units_adjusted,
            category_hours.amended_revenue_cents,
            (0)::bigint AS amended_revenue_cents_adjusted,
            category_hours.amended_units,
            (0)::bigint AS amended_units_adjusted
           FROM speed.category_hours
        UNION ALL
         SELECT adjustments.business_date,
            adjustments.cell_start,
            adjustments.key,
                CASE
                    WHEN (adjustments.measure = 'revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'order_count'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'order_count'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'units'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'units'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'cancelled_revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'cancelled_revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'cancelled_units'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'cancelled_units'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'amended_revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'amended_revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'amended_units'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'amended_units'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case"
           FROM speed.adjustments
          WHERE (adjustments.cube = 'categories'::text)) panes(business_date, cell_start, category, revenue_cents, revenue_cents_adjusted, order_count, order_count_adjusted, units, units_adjusted, cancelled_revenue_cents, cancelled_revenue_cents_adjusted, cancelled_units, cancelled_units_adjusted, amended_revenue_cents, amended_revenue_cents_adjusted, amended_units, amended_units_adjusted)
  GROUP BY business_date, cell_start, category;

COMMENT ON VIEW serving.speed_category_hours IS 'The stream per hour and category. Corrections: included; ..._adjusted is how much of a value they are.';

CREATE VIEW serving.speed_monthly AS
 SELECT months.month,
    measured.order_count,
    measured.revenue_cents,
    measured.cancelled_revenue_cents,
    measured.amended_revenue_cents,
    ((((+ 1) * measured.revenue_cents) + (1 * measured.amended_revenue_cents)) - (1 * measured.cancelled_revenue_cents)) AS net_revenue_cents,
    (((2 * measured.revenue_cents) + measured.order_count) / (2 * NULLIF(measured.order_count, 0))) AS avg_order_value_cents,
    counted.unique_customers,
    measured.units
   FROM ((( SELECT (generate_series(date_trunc('month'::text, (min(known.business_date))::timestamp without time zone), (max(known.business_date))::timestamp without time zone, '1 mon'::interval))::date AS month
           FROM ( SELECT order_minutes.business_date
                   FROM speed.order_minutes
                UNION ALL
                 SELECT adjustments.business_date
                   FROM speed.adjustments) known) months
     CROSS JOIN LATERAL ( SELECT count(*) AS days,
                CASE
                    WHEN (count(speed_daily_measures.revenue_cents) = count(*)) THEN (sum(speed_daily_measures.revenue_cents))::bigint
                    ELSE NULL::bigint
                END AS revenue_cents,
                CASE
                    WHEN (count(speed_daily_measures.order_count) = count(*)) THEN (sum(speed_daily_measures.order_count))::bigint
                    ELSE NULL::bigint
                END AS order_count,
                CASE
                    WHEN (count(speed_daily_measures.units) = count(*)) THEN (sum(speed_daily_measures.units))::bigint
                    ELSE NULL::bigint
                END AS units,
                CASE
                    WHEN (count(speed_daily_measures.cancelled_revenue_cents) = count(*)) THEN (sum(speed_daily_measures.cancelled_revenue_cents))::bigint
                    ELSE NULL::bigint
                END AS cancelled_revenue_cents,
                CASE
                    WHEN (count(speed_daily_measures.amended_revenue_cents) = count(*)) THEN (sum(speed_daily_measures.amended_revenue_cents))::bigint
                    ELSE NULL::bigint
                END AS amended_revenue_cents
           FROM serving.speed_daily_measures
          WHERE ((speed_daily_measures.business_date >= months.month) AND (speed_daily_measures.business_date < ((months.month + '1 mon'::interval))::date))) measured)
     CROSS JOIN LATERAL ( SELECT COALESCE(( SELECT c.customers
                   FROM speed.month_customers_all c
                  WHERE (c.month = months.month)), (0)::bigint) AS unique_customers) counted)
  WHERE (measured.days > 0);

COMMENT ON VIEW serving.speed_monthly IS 'The speed layer''s KPIs per month of business dates, named by its first. unique_customers counts a customer once a month. Corrections: included, but not in unique_customers: what was corrected of a date''s count says nothing of a month''s.';

CREATE TABLE speed.product_hours (
    business_date date NOT NULL,
    pane_start timestamp with time zone NOT NULL,
    product_id text NOT NULL,
    partition integer NOT NULL,
    revenue_cents bigint DEFAULT 0 NOT NULL,
    order_count bigint DEFAULT 0 NOT NULL,
    units bigint DEFAULT 0 NOT NULL,
    cancelled_revenue_cents bigint DEFAULT 0 NOT NULL,
    cancelled_units bigint DEFAULT 0 NOT NULL,
    amended_revenue_cents bigint DEFAULT 0 NOT NULL,
    amended_units bigint DEFAULT 0 NOT NULL
);

CREATE TABLE speed.product_hours_pending (
    business_date date NOT NULL,
    pane_start timestamp with time zone NOT NULL,
    product_id text[],
    revenue_cents bigint[],
    order_count bigint[],
    units bigint[],
    cancelled_revenue_cents bigint[],
    cancelled_units bigint[],
    amended_revenue_cents bigint[],
    amended_units bigint[]
);
ALTER TABLE ONLY speed.product_hours_pending ALTER COLUMN product_id SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.product_hours_pending ALTER COLUMN revenue_cents SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.product_hours_pending ALTER COLUMN order_count SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.product_hours_pending ALTER COLUMN units SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.product_hours_pending ALTER COLUMN cancelled_revenue_cents SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.product_hours_pending ALTER COLUMN cancelled_units SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.product_hours_pending ALTER COLUMN amended_revenue_cents SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.product_hours_pending ALTER COLUMN amended_units SET STORAGE EXTERNAL;

CREATE VIEW speed.product_hours_all AS
 SELECT product_hours.business_date,
    product_hours.pane_start,
    product_hours.product_id,
    product_hours.partition,
    product_hours.revenue_cents,
    product_hours.order_count,
    product_hours.units,
    product_hours.cancelled_revenue_cents,
    product_hours.cancelled_units,
    product_hours.amended_revenue_cents,
    product_hours.amended_units
   FROM speed.product_hours
UNION ALL
 SELECT held.business_date,
    held.pane_start,
    one.product_id,
    '-1'::integer AS partition,
    COALESCE(one.revenue_cents, (0)::bigint) AS revenue_cents,
    COALESCE(one.order_count, (0)::bigint) AS order_count,
    COALESCE(one.units, (0)::bigint) AS units,
    COALESCE(one.cancelled_revenue_cents, (0)::bigint) AS cancelled_revenue_cents,
    COALESCE(one.cancelled_units, (0)::bigint) AS cancelled_units,
    COALESCE(one.amended_revenue_cents, (0)::bigint) AS amended_revenue_cents,
    COALESCE(one.amended_units, (0)::bigint) AS amended_units
   FROM speed.product_hours_pending held,
    LATERAL UNNEST(held.product_id, held.revenue_cents, held.order_count, held.units, held.cancelled_revenue_cents, held.cancelled_units, held.amended_revenue_cents, held.amended_units) one(product_id, revenue_cents, order_count, units, cancelled_revenue_cents, cancelled_units, amended_revenue_cents, amended_units);

CREATE VIEW serving.speed_product_hours AS
 SELECT business_date,
    cell_start,
    product_id,
        CASE
            WHEN (business_date >= ( SELECT measures_since.since
               FROM speed.measures_since
              WHERE ((measures_since.table_name = 'product_hours'::text) AND (measures_since.measure = 'revenue_cents'::text)))) THEN (sum(revenue_cents))::bigint
            ELSE NULL::bigint
        END AS revenue_cents,
    (sum(revenue_cents_adjusted))::bigint AS revenue_cents_adjusted,
        CASE
            WHEN (business_date >= ( SELECT measures_since.since
               FROM speed.measures_since
              WHERE ((measures_since.table_name = 'product_hours'::text) AND (measures_since.measure = 'order_count'::text)))) THEN (sum(order_count))::bigint
            ELSE NULL::bigint
        END AS order_count,
    (sum(order_count_adjusted))::bigint AS order_count_adjusted,
        CASE
            WHEN (business_date >= ( SELECT measures_since.since
               FROM speed.measures_since
              WHERE ((measures_since.table_name = 'product_hours'::text) AND (measures_since.measure = 'units'::text)))) THEN (sum(units))::bigint
            ELSE NULL::bigint
        END AS units,
    (sum(units_adjusted))::bigint AS units_adjusted,
        CASE
            WHEN (business_date >= ( SELECT measures_since.since
               FROM speed.measures_since
              WHERE ((measures_since.table_name = 'product_hours'::text) AND (measures_since.measure = 'cancelled_revenue_cents'::text)))) THEN (sum(cancelled_revenue_cents))::bigint
            ELSE NULL::bigint
        END AS cancelled_revenue_cents,
    (sum(cancelled_revenue_cents_adjusted))::bigint AS cancelled_revenue_cents_adjusted,
        CASE
            WHEN (business_date >= ( SELECT measures_since.since
               FROM speed.measures_since
              WHERE ((measures_since.table_name = 'product_hours'::text) AND (measures_since.measure = 'cancelled_units'::text)))) THEN (sum(cancelled_units))::bigint
            ELSE NULL::bigint
        END AS cancelled_units,
    (sum(cancelled_units_adjusted))::bigint AS cancelled_units_adjusted,
        CASE
            WHEN (business_date >= ( SELECT measures_since.since
               FROM speed.measures_since
              WHERE ((measures_since.table_name = 'product_hours'::text) AND (measures_since.measure = 'amended_revenue_cents'::text)))) THEN (sum(amended_revenue_cents))::bigint
            ELSE NULL::bigint
        END AS amended_revenue_cents,
    (sum(amended_revenue_cents_adjusted))::bigint AS amended_revenue_cents_adjusted,
        CASE
            WHEN (business_date >= ( SELECT measures_since.since
               FROM speed.measures_since
              WHERE ((measures_since.table_name = 'product_hours'::text) AND (measures_since.measure = 'amended_units'::text)))) THEN (sum(amended_units))::bigint
            ELSE NULL::bigint
        END AS amended_units,
    (sum(amended_units_adjusted))::bigint AS amended_units_adjusted
   FROM ( SELECT product_hours_all.business_date,
            product_hours_all.pane_start AS cell_start,
            product_hours_all.product_id AS key,
            product_hours_all.revenue_cents,
            (0)::bigint AS revenue_cents_adjusted,
            product_hours_all.order_count,
            (0)::bigint AS order_count_adjusted,
            product_hours_all.units,
            (0)::bigint AS units_adjusted,
            product_hours_all.cancelled_revenue_cents,
            (0)::bigint AS cancelled_revenue_cents_adjusted,
            product_hours_all.cancelled_units,
            (0)::bigint AS cancelled_units_adjusted,
            product_hours_all.amended_revenue_cents,
            (0)::bigint AS amended_revenue_cents_adjusted,
            product_hours_all.amended_units,
            (0)::bigint AS amended_units_adjusted
           FROM speed.product_hours_all
        UNION ALL
         SELECT adjustments.business_date,
            adjustments.cell_start,
            adjustments.key,
                CASE
                    WHEN (adjustments.measure = 'revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'order_count'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'order_count'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'units'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'units'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'cancelled_revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'cancelled_revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'cancelled_units'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'cancelled_units'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'amended_revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'amended_revenue_cents'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'amended_units'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case",
                CASE
                    WHEN (adjustments.measure = 'amended_units'::text) THEN adjustments.delta
                    ELSE (0)::bigint
                END AS "case"
           FROM speed.adjustments
          WHERE (adjustments.cube = 'products'::text)) panes(business_date, cell_start, product_id, revenue_cents, revenue_cents_adjusted, order_count, order_count_adjusted, units, units_adjusted, cancelled_revenue_cents, cancelled_revenue_cents_adjusted, cancelled_units, cancelled_units_adjusted, amended_revenue_cents, amended_revenue_cents_adjusted, amended_units, amended_units_adjusted)
  GROUP BY business_date, cell_start, product_id;

COMMENT ON VIEW serving.speed_product_hours IS 'The stream per hour and product_id. Corrections: included; ..._adjusted is how much of a value they are.';

CREATE TABLE speed.outcomes (
    pane_start timestamp with time zone,
    partition integer NOT NULL,
    decision text NOT NULL,
    reason text NOT NULL,
    events bigint NOT NULL,
    CONSTRAINT outcomes_decision_check CHECK ((decision = ANY (ARRAY['ignored'::text, 'quarantined'::text, 'duplicate'::text, 'late'::text, 'counted'::text])))
);

CREATE VIEW serving.stream_outcomes AS
 SELECT ((pane_start AT TIME ZONE 'UTC'::text))::date AS business_date,
    decision,
    reason,
    (sum(events))::bigint AS events
   FROM speed.outcomes
  GROUP BY (((pane_start AT TIME ZONE 'UTC'::text))::date), decision, reason;

COMMENT ON VIEW serving.stream_outcomes IS 'What the stream decided on records, per business date of their event time. Corrections: none, since records are counted.';

CREATE TABLE speed.alerts (
    alert_id text NOT NULL,
    pattern text NOT NULL,
    severity text NOT NULL,
    customer_id text NOT NULL,
    event_id text NOT NULL,
    order_id text NOT NULL,
    event_time timestamp with time zone NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    facts jsonb NOT NULL,
    detected_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE speed.category_minutes (
    business_date date NOT NULL,
    pane_start timestamp with time zone NOT NULL,
    category text NOT NULL,
    partition integer NOT NULL,
    order_count bigint DEFAULT 0 NOT NULL,
    revenue_cents bigint DEFAULT 0 NOT NULL,
    smallest_cents bigint,
    largest_cents bigint
);

CREATE TABLE speed.category_minutes_pending (
    business_date date NOT NULL,
    pane_start timestamp with time zone NOT NULL,
    category text[],
    order_count bigint[],
    revenue_cents bigint[],
    smallest_cents bigint[],
    largest_cents bigint[]
);
ALTER TABLE ONLY speed.category_minutes_pending ALTER COLUMN category SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.category_minutes_pending ALTER COLUMN order_count SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.category_minutes_pending ALTER COLUMN revenue_cents SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.category_minutes_pending ALTER COLUMN smallest_cents SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.category_minutes_pending ALTER COLUMN largest_cents SET STORAGE EXTERNAL;

CREATE VIEW speed.category_minutes_all AS
 SELECT category_minutes.business_date,
    category_minutes.pane_start,
    category_minutes.category,
    category_minutes.partition,
    category_minutes.order_count,
    category_minutes.revenue_cents,
    category_minutes.smallest_cents,
    category_minutes.largest_cents
   FROM speed.category_minutes
UNION ALL
 SELECT held.business_date,
    held.pane_start,
    one.category,
    '-1'::integer AS partition,
    COALESCE(one.order_count, (0)::bigint) AS order_count,
    COALESCE(one.revenue_cents, (0)::bigint) AS revenue_cents,
    one.smallest_cents,
    one.largest_cents
   FROM speed.category_minutes_pending held,
    LATERAL UNNEST(held.category, held.order_count, held.revenue_cents, held.smallest_cents, held.largest_cents) one(category, order_count, revenue_cents, smallest_cents, largest_cents);

CREATE TABLE speed.compacted (
    partition integer NOT NULL,
    before timestamp with time zone NOT NULL
);

CREATE VIEW speed.customer_days_all AS
 SELECT customer_days.business_date,
    customer_days.customer_id,
    customer_days.partition
   FROM speed.customer_days
UNION ALL
 SELECT held.business_date,
    one.customer_id,
    '-1'::integer AS partition
   FROM speed.customer_days_pending held,
    LATERAL unnest(held.customer_id) one(customer_id);

CREATE TABLE speed.idle_marks (
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    up_to timestamp with time zone
);

CREATE TABLE speed.journal (
    topic text NOT NULL,
    partition integer NOT NULL,
    first_offset bigint NOT NULL,
    next_offset bigint NOT NULL,
    events integer NOT NULL,
    min_business_date date,
    max_business_date date,
    max_accepted_time timestamp with time zone,
    watermark_before timestamp with time zone,
    watermark_after timestamp with time zone,
    epoch bigint NOT NULL,
    rule_version text NOT NULL,
    processed_at timestamp with time zone DEFAULT now() NOT NULL,
    segment bytea NOT NULL,
    batch_offsets bigint[],
    batch_times timestamp with time zone[],
    CONSTRAINT journal_check CHECK ((next_offset > first_offset)),
    CONSTRAINT journal_check1 CHECK ((cardinality(batch_offsets) = cardinality(batch_times)))
);
ALTER TABLE ONLY speed.journal ALTER COLUMN segment SET STORAGE EXTERNAL;

CREATE TABLE speed.journal_expired (
    business_date date NOT NULL,
    expired_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE speed.journal_kept (
    topic text NOT NULL,
    partition integer NOT NULL,
    from_offset bigint NOT NULL,
    accepted_until timestamp with time zone
);

CREATE TABLE speed.outbox (
    message_id bigint NOT NULL,
    dedupe_id text NOT NULL,
    topic text NOT NULL,
    key bytea,
    value bytea,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE ONLY speed.outbox ALTER COLUMN value SET STORAGE EXTERNAL;

ALTER TABLE speed.outbox ALTER COLUMN message_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME speed.outbox_message_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE speed.payment_method_minutes (
    business_date date NOT NULL,
    pane_start timestamp with time zone NOT NULL,
    payment_method text NOT NULL,
    partition integer NOT NULL,
    order_count bigint DEFAULT 0 NOT NULL,
    revenue_cents bigint DEFAULT 0 NOT NULL,
    smallest_cents bigint,
    largest_cents bigint
);

CREATE TABLE speed.payment_method_minutes_pending (
    business_date date NOT NULL,
    pane_start timestamp with time zone NOT NULL,
    payment_method text[],
    order_count bigint[],
    revenue_cents bigint[],
    smallest_cents bigint[],
    largest_cents bigint[]
);
ALTER TABLE ONLY speed.payment_method_minutes_pending ALTER COLUMN payment_method SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.payment_method_minutes_pending ALTER COLUMN order_count SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.payment_method_minutes_pending ALTER COLUMN revenue_cents SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.payment_method_minutes_pending ALTER COLUMN smallest_cents SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.payment_method_minutes_pending ALTER COLUMN largest_cents SET STORAGE EXTERNAL;

CREATE VIEW speed.payment_method_minutes_all AS
 SELECT payment_method_minutes.business_date,
    payment_method_minutes.pane_start,
    payment_method_minutes.payment_method,
    payment_method_minutes.partition,
    payment_method_minutes.order_count,
    payment_method_minutes.revenue_cents,
    payment_method_minutes.smallest_cents,
    payment_method_minutes.largest_cents
   FROM speed.payment_method_minutes
UNION ALL
 SELECT held.business_date,
    held.pane_start,
    one.payment_method,
    '-1'::integer AS partition,
    COALESCE(one.order_count, (0)::bigint) AS order_count,
    COALESCE(one.revenue_cents, (0)::bigint) AS revenue_cents,
    one.smallest_cents,
    one.largest_cents
   FROM speed.payment_method_minutes_pending held,
    LATERAL UNNEST(held.payment_method, held.order_count, held.revenue_cents, held.smallest_cents, held.largest_cents) one(payment_method, order_count, revenue_cents, smallest_cents, largest_cents);

CREATE TABLE speed.published (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL
);

CREATE TABLE speed.publisher (
    only_row boolean DEFAULT true NOT NULL,
    worker text,
    final_before timestamp with time zone,
    CONSTRAINT publisher_only_row_check CHECK (only_row)
);

CREATE TABLE speed.quarantine (
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    kafka_time timestamp with time zone NOT NULL,
    key bytea,
    value bytea,
    reasons text[] NOT NULL,
    event_id text,
    event_type text,
    event_time timestamp with time zone,
    order_id text,
    customer_id text,
    business_date date,
    quarantined_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE ONLY speed.quarantine ALTER COLUMN value SET STORAGE EXTERNAL;

CREATE TABLE speed.rebuilds (
    swapped_at timestamp with time zone DEFAULT now() NOT NULL,
    since date NOT NULL
);

CREATE TABLE speed.region_minutes (
    business_date date NOT NULL,
    pane_start timestamp with time zone NOT NULL,
    region text NOT NULL,
    partition integer NOT NULL,
    order_count bigint DEFAULT 0 NOT NULL,
    revenue_cents bigint DEFAULT 0 NOT NULL,
    smallest_cents bigint,
    largest_cents bigint
);

CREATE TABLE speed.region_minutes_pending (
    business_date date NOT NULL,
    pane_start timestamp with time zone NOT NULL,
    region text[],
    order_count bigint[],
    revenue_cents bigint[],
    smallest_cents bigint[],
    largest_cents bigint[]
);
ALTER TABLE ONLY speed.region_minutes_pending ALTER COLUMN region SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.region_minutes_pending ALTER COLUMN order_count SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.region_minutes_pending ALTER COLUMN revenue_cents SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.region_minutes_pending ALTER COLUMN smallest_cents SET STORAGE EXTERNAL;
ALTER TABLE ONLY speed.region_minutes_pending ALTER COLUMN largest_cents SET STORAGE EXTERNAL;

CREATE VIEW speed.region_minutes_all AS
 SELECT region_minutes.business_date,
    region_minutes.pane_start,
    region_minutes.region,
    region_minutes.partition,
    region_minutes.order_count,
    region_minutes.revenue_cents,
    region_minutes.smallest_cents,
    region_minutes.largest_cents
   FROM speed.region_minutes
UNION ALL
 SELECT held.business_date,
    held.pane_start,
    one.region,
    '-1'::integer AS partition,
    COALESCE(one.order_count, (0)::bigint) AS order_count,
    COALESCE(one.revenue_cents, (0)::bigint) AS revenue_cents,
    one.smallest_cents,
    one.largest_cents
   FROM speed.region_minutes_pending held,
    LATERAL UNNEST(held.region, held.order_count, held.revenue_cents, held.smallest_cents, held.largest_cents) one(region, order_count, revenue_cents, smallest_cents, largest_cents);

CREATE TABLE speed.reviews (
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    decision text NOT NULL,
    decided_by text NOT NULL,
    decided_at timestamp with time zone DEFAULT now() NOT NULL,
    note text DEFAULT ''::text NOT NULL,
    reasons text[] NOT NULL,
    event_id text,
    event_type text,
    order_id text,
    business_date date,
    value bytea,
    released_key bytea,
    released_value bytea,
    released_date date,
    CONSTRAINT reviews_check CHECK (((decision = 'approved'::text) = (released_value IS NOT NULL))),
    CONSTRAINT reviews_check1 CHECK (((decision = 'approved'::text) OR (value IS NULL))),
    CONSTRAINT reviews_decision_check CHECK ((decision = ANY (ARRAY['approved'::text, 'rejected'::text])))
);

CREATE TABLE speed.sketches (
    partition integer NOT NULL,
    cell_start timestamp with time zone NOT NULL,
    rollup text NOT NULL,
    key text NOT NULL,
    counted text NOT NULL,
    first_offset bigint NOT NULL,
    sketch bytea NOT NULL
);
ALTER TABLE ONLY speed.sketches ALTER COLUMN sketch SET STORAGE EXTERNAL;

CREATE TABLE speed.topics (
    topic text NOT NULL,
    topic_id bigint NOT NULL
);

ALTER TABLE ONLY batch.ahead
    ADD CONSTRAINT ahead_pkey PRIMARY KEY (run_id, view);

ALTER TABLE ONLY batch.category_hours
    ADD CONSTRAINT category_hours_pkey PRIMARY KEY (run_id, cell_start, category);

ALTER TABLE ONLY batch.claims
    ADD CONSTRAINT claims_pkey PRIMARY KEY (business_date);

ALTER TABLE ONLY batch.daily_metrics
    ADD CONSTRAINT daily_metrics_pkey PRIMARY KEY (run_id, business_date);

ALTER TABLE ONLY batch.facts_held
    ADD CONSTRAINT facts_held_pkey PRIMARY KEY (business_date);

ALTER TABLE ONLY batch.facts_table
    ADD CONSTRAINT facts_table_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY batch.gate_results
    ADD CONSTRAINT gate_results_pkey PRIMARY KEY (run_id, business_date, suite, expectation);

ALTER TABLE ONLY batch.hourly_distincts
    ADD CONSTRAINT hourly_distincts_pkey PRIMARY KEY (run_id, cell_start, rollup, key, counted);

ALTER TABLE ONLY batch.made_of
    ADD CONSTRAINT made_of_pkey PRIMARY KEY (run_id, view);

ALTER TABLE ONLY batch.order_hours
    ADD CONSTRAINT order_hours_pkey PRIMARY KEY (run_id, cell_start);

ALTER TABLE ONLY batch.product_hours
    ADD CONSTRAINT product_hours_pkey PRIMARY KEY (run_id, cell_start, product_id);

ALTER TABLE ONLY batch.product_rankings
    ADD CONSTRAINT product_rankings_pkey PRIMARY KEY (run_id, business_date, scope, scope_key, measure, product_id);

ALTER TABLE ONLY batch.rfm
    ADD CONSTRAINT rfm_pkey PRIMARY KEY (run_id, business_date, grid, customer_id);

ALTER TABLE ONLY batch.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (run_id);

ALTER TABLE ONLY batch.staged
    ADD CONSTRAINT staged_pkey PRIMARY KEY (run_id, table_name);

ALTER TABLE ONLY batch.versions
    ADD CONSTRAINT versions_pkey PRIMARY KEY (view, business_date, version);

ALTER TABLE ONLY public.definitions
    ADD CONSTRAINT definitions_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.installation
    ADD CONSTRAINT installation_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY public.kept_under
    ADD CONSTRAINT kept_under_pkey PRIMARY KEY (setting);

ALTER TABLE ONLY reconciliation.agreement
    ADD CONSTRAINT agreement_pkey PRIMARY KEY (reconciliation_id, subject, measure, top);

ALTER TABLE ONLY reconciliation.certificates
    ADD CONSTRAINT certificates_pkey PRIMARY KEY (certificate_id);

ALTER TABLE ONLY reconciliation.comparisons
    ADD CONSTRAINT comparisons_pkey PRIMARY KEY (reconciliation_id, level, cube, cell_start, key, metric);

ALTER TABLE ONLY reconciliation.corrections
    ADD CONSTRAINT corrections_business_date_cube_cell_start_key_measure_seque_key UNIQUE (business_date, cube, cell_start, key, measure, sequence);

ALTER TABLE ONLY reconciliation.corrections
    ADD CONSTRAINT corrections_pkey PRIMARY KEY (correction_id);

ALTER TABLE ONLY reconciliation.corrections
    ADD CONSTRAINT corrections_reverses_key UNIQUE (reverses);

ALTER TABLE ONLY reconciliation.cut_category_hours
    ADD CONSTRAINT cut_category_hours_pkey PRIMARY KEY (run_id, cell_start, category);

ALTER TABLE ONLY reconciliation.cut_distincts
    ADD CONSTRAINT cut_distincts_pkey PRIMARY KEY (run_id, measure);

ALTER TABLE ONLY reconciliation.cut_hourly_distincts
    ADD CONSTRAINT cut_hourly_distincts_pkey PRIMARY KEY (run_id, cell_start, rollup, key, counted);

ALTER TABLE ONLY reconciliation.cut_offsets
    ADD CONSTRAINT cut_offsets_pkey PRIMARY KEY (run_id, topic, partition);

ALTER TABLE ONLY reconciliation.cut_order_hours
    ADD CONSTRAINT cut_order_hours_pkey PRIMARY KEY (run_id, cell_start);

ALTER TABLE ONLY reconciliation.cut_product_hours
    ADD CONSTRAINT cut_product_hours_pkey PRIMARY KEY (run_id, cell_start, product_id);

ALTER TABLE ONLY reconciliation.cuts
    ADD CONSTRAINT cuts_pkey PRIMARY KEY (run_id);

ALTER TABLE ONLY reconciliation.discrepancies
    ADD CONSTRAINT discrepancies_pkey PRIMARY KEY (reconciliation_id, topic, partition, "offset");

ALTER TABLE ONLY reconciliation.incidents
    ADD CONSTRAINT incidents_pkey PRIMARY KEY (incident_id);

ALTER TABLE ONLY reconciliation.lateness
    ADD CONSTRAINT lateness_pkey PRIMARY KEY (reconciliation_id, grace);

ALTER TABLE ONLY reconciliation.ledger
    ADD CONSTRAINT ledger_pkey PRIMARY KEY (reconciliation_id, cube, cell_start, key, measure, cause);

ALTER TABLE ONLY reconciliation.mails
    ADD CONSTRAINT mails_pkey PRIMARY KEY (mail_id);

ALTER TABLE ONLY reconciliation.reconciliations
    ADD CONSTRAINT reconciliations_pkey PRIMARY KEY (reconciliation_id);

ALTER TABLE ONLY reconciliation.reports
    ADD CONSTRAINT reports_pkey PRIMARY KEY (report_id);

ALTER TABLE ONLY reconciliation.run_ends
    ADD CONSTRAINT run_ends_pkey PRIMARY KEY (dag_run);

ALTER TABLE ONLY speed.adjustments
    ADD CONSTRAINT adjustments_pkey PRIMARY KEY (correction_id);

ALTER TABLE ONLY speed.alerts
    ADD CONSTRAINT alerts_pkey PRIMARY KEY (alert_id);

ALTER TABLE ONLY speed.categories_entries
    ADD CONSTRAINT categories_entries_pkey PRIMARY KEY (cell_start, category, partition, entry);

ALTER TABLE ONLY speed.categories_finals
    ADD CONSTRAINT categories_finals_pkey PRIMARY KEY (cell_start, category);

ALTER TABLE ONLY speed.category_hours
    ADD CONSTRAINT category_hours_pkey PRIMARY KEY (pane_start, category, partition);

ALTER TABLE ONLY speed.category_minutes
    ADD CONSTRAINT category_minutes_pkey PRIMARY KEY (pane_start, category, partition);

ALTER TABLE ONLY speed.compacted
    ADD CONSTRAINT compacted_pkey PRIMARY KEY (partition);

ALTER TABLE ONLY speed.customer_days
    ADD CONSTRAINT customer_days_pkey PRIMARY KEY (business_date, customer_id, partition);

ALTER TABLE ONLY speed.customer_minutes
    ADD CONSTRAINT customer_minutes_pkey PRIMARY KEY (partition, pane_start, first_offset);

ALTER TABLE ONLY speed.customer_months
    ADD CONSTRAINT customer_months_pkey PRIMARY KEY (month, customer_id);

ALTER TABLE ONLY speed.customer_totals
    ADD CONSTRAINT customer_totals_pkey PRIMARY KEY (customer_id, partition);

ALTER TABLE ONLY speed.date_customers
    ADD CONSTRAINT date_customers_pkey PRIMARY KEY (business_date);

ALTER TABLE ONLY speed.finality
    ADD CONSTRAINT finality_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY speed.idle_marks
    ADD CONSTRAINT idle_marks_pkey PRIMARY KEY (partition, next_offset);

ALTER TABLE ONLY speed.journal_expired
    ADD CONSTRAINT journal_expired_pkey PRIMARY KEY (business_date);

ALTER TABLE ONLY speed.journal_kept
    ADD CONSTRAINT journal_kept_pkey PRIMARY KEY (topic, partition);

ALTER TABLE ONLY speed.journal
    ADD CONSTRAINT journal_pkey PRIMARY KEY (topic, partition, first_offset);

ALTER TABLE ONLY speed.measures_since
    ADD CONSTRAINT measures_since_pkey PRIMARY KEY (table_name, measure);

ALTER TABLE ONLY speed.month_customers
    ADD CONSTRAINT month_customers_pkey PRIMARY KEY (month);

ALTER TABLE ONLY speed.order_minutes
    ADD CONSTRAINT order_minutes_pkey PRIMARY KEY (pane_start, partition);

ALTER TABLE ONLY speed.orders_entries
    ADD CONSTRAINT orders_entries_pkey PRIMARY KEY (cell_start, partition, entry);

ALTER TABLE ONLY speed.orders_finals
    ADD CONSTRAINT orders_finals_pkey PRIMARY KEY (cell_start);

ALTER TABLE ONLY speed.outbox
    ADD CONSTRAINT outbox_dedupe_id_key UNIQUE (dedupe_id);

ALTER TABLE ONLY speed.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (message_id);

ALTER TABLE ONLY speed.outcomes
    ADD CONSTRAINT outcomes_pane_start_partition_decision_reason_key UNIQUE NULLS NOT DISTINCT (pane_start, partition, decision, reason);

ALTER TABLE ONLY speed.partitions
    ADD CONSTRAINT partitions_pkey PRIMARY KEY (topic, partition);

ALTER TABLE ONLY speed.payment_method_minutes
    ADD CONSTRAINT payment_method_minutes_pkey PRIMARY KEY (pane_start, payment_method, partition);

ALTER TABLE ONLY speed.product_hours
    ADD CONSTRAINT product_hours_pkey PRIMARY KEY (pane_start, product_id, partition);

ALTER TABLE ONLY speed.product_totals
    ADD CONSTRAINT product_totals_pkey PRIMARY KEY (product_id, partition);

ALTER TABLE ONLY speed.published
    ADD CONSTRAINT published_pkey PRIMARY KEY (topic, partition);

ALTER TABLE ONLY speed.publisher
    ADD CONSTRAINT publisher_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY speed.quality
    ADD CONSTRAINT quality_pkey PRIMARY KEY (pane_start, partition, decision, reasons);

ALTER TABLE ONLY speed.quarantine
    ADD CONSTRAINT quarantine_pkey PRIMARY KEY (topic, partition, "offset");

ALTER TABLE ONLY speed.region_minutes
    ADD CONSTRAINT region_minutes_pkey PRIMARY KEY (pane_start, region, partition);

ALTER TABLE ONLY speed.reviews
    ADD CONSTRAINT reviews_pkey PRIMARY KEY (topic, partition, "offset");

ALTER TABLE ONLY speed.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (partition, customer_id, session_start);

ALTER TABLE ONLY speed.sketches
    ADD CONSTRAINT sketches_pkey PRIMARY KEY (partition, cell_start, rollup, key, counted, first_offset);

ALTER TABLE ONLY speed.topics
    ADD CONSTRAINT topics_pkey PRIMARY KEY (topic);

CREATE INDEX failed_gates ON batch.gate_results USING btree (business_date) WHERE ((level = 'fail'::text) AND (NOT success));

CREATE UNIQUE INDEX one_current_version ON batch.versions USING btree (view, business_date) WHERE (superseded_at IS NULL);

CREATE INDEX runs_by_date ON batch.runs USING btree (business_date, created_at);

CREATE INDEX certificates_by_reconciliation ON reconciliation.certificates USING btree (reconciliation_id, certificate_id);

CREATE UNIQUE INDEX incidents_open ON reconciliation.incidents USING btree (name) WHERE (resolved_at IS NULL);

CREATE INDEX reconciliations_by_date ON reconciliation.reconciliations USING btree (business_date, reconciliation_id);

CREATE INDEX adjustments_by_date ON speed.adjustments USING btree (business_date, cube);

CREATE INDEX alerts_by_customer ON speed.alerts USING btree (customer_id);

CREATE INDEX alerts_by_time ON speed.alerts USING btree (event_time);

CREATE INDEX category_hours_by_date ON speed.category_hours USING btree (business_date);

CREATE INDEX category_minutes_by_date ON speed.category_minutes USING btree (business_date);

CREATE INDEX journal_by_date ON speed.journal USING btree (min_business_date, max_business_date);

CREATE INDEX journal_small ON speed.journal USING btree (topic, partition, first_offset) WHERE (events < 1000);

CREATE INDEX order_minutes_by_date ON speed.order_minutes USING btree (business_date);

CREATE INDEX payment_method_minutes_by_date ON speed.payment_method_minutes USING btree (business_date);

CREATE INDEX product_hours_by_date ON speed.product_hours USING btree (business_date);

CREATE INDEX quarantine_by_date ON speed.quarantine USING btree (business_date);

CREATE INDEX region_minutes_by_date ON speed.region_minutes USING btree (business_date);

CREATE INDEX reviews_by_date ON speed.reviews USING btree (business_date);

CREATE INDEX sessions_by_end ON speed.sessions USING brin (session_end) WITH (pages_per_range='32', autosummarize='on');

CREATE INDEX sketches_by_cell ON speed.sketches USING btree (rollup, cell_start);

CREATE TRIGGER came AFTER INSERT ON speed.customer_days REFERENCING NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION speed.count_customers_that_came();

CREATE TRIGGER emptied AFTER TRUNCATE ON speed.customer_days FOR EACH STATEMENT EXECUTE FUNCTION speed.count_no_customers();

CREATE TRIGGER went AFTER DELETE ON speed.customer_days REFERENCING OLD TABLE AS went FOR EACH STATEMENT EXECUTE FUNCTION speed.count_customers_that_went();

ALTER TABLE ONLY batch.ahead
    ADD CONSTRAINT ahead_run_id_fkey FOREIGN KEY (run_id) REFERENCES batch.runs(run_id);

ALTER TABLE ONLY batch.made_of
    ADD CONSTRAINT made_of_run_id_fkey FOREIGN KEY (run_id) REFERENCES batch.runs(run_id);

ALTER TABLE ONLY batch.staged
    ADD CONSTRAINT staged_run_id_fkey FOREIGN KEY (run_id) REFERENCES batch.runs(run_id);

ALTER TABLE ONLY batch.versions
    ADD CONSTRAINT versions_run_id_fkey FOREIGN KEY (run_id) REFERENCES batch.runs(run_id);

ALTER TABLE ONLY reconciliation.agreement
    ADD CONSTRAINT agreement_reconciliation_id_fkey FOREIGN KEY (reconciliation_id) REFERENCES reconciliation.reconciliations(reconciliation_id);

ALTER TABLE ONLY reconciliation.certificates
    ADD CONSTRAINT certificates_reconciliation_id_fkey FOREIGN KEY (reconciliation_id) REFERENCES reconciliation.reconciliations(reconciliation_id);

ALTER TABLE ONLY reconciliation.comparisons
    ADD CONSTRAINT comparisons_reconciliation_id_fkey FOREIGN KEY (reconciliation_id) REFERENCES reconciliation.reconciliations(reconciliation_id);

ALTER TABLE ONLY reconciliation.corrections
    ADD CONSTRAINT corrections_reconciliation_id_fkey FOREIGN KEY (reconciliation_id) REFERENCES reconciliation.reconciliations(reconciliation_id);

ALTER TABLE ONLY reconciliation.corrections
    ADD CONSTRAINT corrections_reverses_fkey FOREIGN KEY (reverses) REFERENCES reconciliation.corrections(correction_id);

ALTER TABLE ONLY reconciliation.cut_category_hours
    ADD CONSTRAINT cut_category_hours_run_id_fkey FOREIGN KEY (run_id) REFERENCES reconciliation.cuts(run_id);

ALTER TABLE ONLY reconciliation.cut_distincts
    ADD CONSTRAINT cut_distincts_run_id_fkey FOREIGN KEY (run_id) REFERENCES reconciliation.cuts(run_id);

ALTER TABLE ONLY reconciliation.cut_hourly_distincts
    ADD CONSTRAINT cut_hourly_distincts_run_id_fkey FOREIGN KEY (run_id) REFERENCES reconciliation.cuts(run_id);

ALTER TABLE ONLY reconciliation.cut_offsets
    ADD CONSTRAINT cut_offsets_run_id_fkey FOREIGN KEY (run_id) REFERENCES reconciliation.cuts(run_id);

ALTER TABLE ONLY reconciliation.cut_order_hours
    ADD CONSTRAINT cut_order_hours_run_id_fkey FOREIGN KEY (run_id) REFERENCES reconciliation.cuts(run_id);

ALTER TABLE ONLY reconciliation.cut_product_hours
    ADD CONSTRAINT cut_product_hours_run_id_fkey FOREIGN KEY (run_id) REFERENCES reconciliation.cuts(run_id);

ALTER TABLE ONLY reconciliation.discrepancies
    ADD CONSTRAINT discrepancies_reconciliation_id_fkey FOREIGN KEY (reconciliation_id) REFERENCES reconciliation.reconciliations(reconciliation_id);

ALTER TABLE ONLY reconciliation.lateness
    ADD CONSTRAINT lateness_reconciliation_id_fkey FOREIGN KEY (reconciliation_id) REFERENCES reconciliation.reconciliations(reconciliation_id);

ALTER TABLE ONLY reconciliation.ledger
    ADD CONSTRAINT ledger_reconciliation_id_fkey FOREIGN KEY (reconciliation_id) REFERENCES reconciliation.reconciliations(reconciliation_id);

ALTER TABLE ONLY reconciliation.reports
    ADD CONSTRAINT reports_reconciliation_id_fkey FOREIGN KEY (reconciliation_id) REFERENCES reconciliation.reconciliations(reconciliation_id);

ALTER TABLE ONLY reconciliation.run_ends
    ADD CONSTRAINT run_ends_reconciliation_id_fkey FOREIGN KEY (reconciliation_id) REFERENCES reconciliation.reconciliations(reconciliation_id);

GRANT USAGE ON SCHEMA batch TO tandem_batch;
GRANT USAGE ON SCHEMA batch TO tandem_reconciliation;
GRANT USAGE ON SCHEMA batch TO tandem_reader;

REVOKE USAGE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO tandem_speed;
GRANT USAGE ON SCHEMA public TO tandem_batch;
GRANT USAGE ON SCHEMA public TO tandem_reconciliation;
GRANT USAGE ON SCHEMA public TO tandem_review;
GRANT USAGE ON SCHEMA public TO tandem_reader;

GRANT USAGE ON SCHEMA reconciliation TO tandem_speed;
GRANT USAGE ON SCHEMA reconciliation TO tandem_batch;
GRANT USAGE ON SCHEMA reconciliation TO tandem_reconciliation;
GRANT USAGE ON SCHEMA reconciliation TO tandem_reader;

GRANT USAGE ON SCHEMA serving TO tandem_speed;
GRANT USAGE ON SCHEMA serving TO tandem_reconciliation;
GRANT USAGE ON SCHEMA serving TO tandem_reader;

GRANT USAGE ON SCHEMA speed TO tandem_speed;
GRANT USAGE ON SCHEMA speed TO tandem_review;
GRANT USAGE ON SCHEMA speed TO tandem_reconciliation;
GRANT USAGE ON SCHEMA speed TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE batch.ahead TO tandem_batch;
GRANT SELECT ON TABLE batch.ahead TO tandem_reconciliation;
GRANT SELECT ON TABLE batch.ahead TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE batch.category_hours TO tandem_batch;
GRANT SELECT ON TABLE batch.category_hours TO tandem_reconciliation;
GRANT SELECT ON TABLE batch.category_hours TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE batch.claims TO tandem_batch;
GRANT SELECT ON TABLE batch.claims TO tandem_reconciliation;
GRANT SELECT ON TABLE batch.claims TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE batch.daily_metrics TO tandem_batch;
GRANT SELECT ON TABLE batch.daily_metrics TO tandem_reconciliation;
GRANT SELECT ON TABLE batch.daily_metrics TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE batch.facts_held TO tandem_batch;
GRANT SELECT ON TABLE batch.facts_held TO tandem_reconciliation;
GRANT SELECT ON TABLE batch.facts_held TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE batch.gate_results TO tandem_batch;
GRANT SELECT ON TABLE batch.gate_results TO tandem_reconciliation;
GRANT SELECT ON TABLE batch.gate_results TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE batch.runs TO tandem_batch;
GRANT SELECT ON TABLE batch.runs TO tandem_reconciliation;
GRANT SELECT ON TABLE batch.runs TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE batch.versions TO tandem_batch;
GRANT SELECT ON TABLE batch.versions TO tandem_reconciliation;
GRANT SELECT ON TABLE batch.versions TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE batch.facts_read TO tandem_batch;
GRANT SELECT ON TABLE batch.facts_read TO tandem_reconciliation;
GRANT SELECT ON TABLE batch.facts_read TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE batch.facts_table TO tandem_batch;
GRANT SELECT ON TABLE batch.facts_table TO tandem_reconciliation;
GRANT SELECT ON TABLE batch.facts_table TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE batch.hourly_distincts TO tandem_batch;
GRANT SELECT ON TABLE batch.hourly_distincts TO tandem_reconciliation;
GRANT SELECT ON TABLE batch.hourly_distincts TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE batch.made_of TO tandem_batch;
GRANT SELECT ON TABLE batch.made_of TO tandem_reconciliation;
GRANT SELECT ON TABLE batch.made_of TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE batch.order_hours TO tandem_batch;
GRANT SELECT ON TABLE batch.order_hours TO tandem_reconciliation;
GRANT SELECT ON TABLE batch.order_hours TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE batch.product_hours TO tandem_batch;
GRANT SELECT ON TABLE batch.product_hours TO tandem_reconciliation;
GRANT SELECT ON TABLE batch.product_hours TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE batch.product_rankings TO tandem_batch;
GRANT SELECT ON TABLE batch.product_rankings TO tandem_reconciliation;
GRANT SELECT ON TABLE batch.product_rankings TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE batch.rfm TO tandem_batch;
GRANT SELECT ON TABLE batch.rfm TO tandem_reconciliation;
GRANT SELECT ON TABLE batch.rfm TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE batch.staged TO tandem_batch;
GRANT SELECT ON TABLE batch.staged TO tandem_reconciliation;
GRANT SELECT ON TABLE batch.staged TO tandem_reader;

GRANT SELECT ON TABLE public.definitions TO tandem_speed;
GRANT SELECT ON TABLE public.definitions TO tandem_batch;
GRANT SELECT ON TABLE public.definitions TO tandem_reconciliation;
GRANT SELECT ON TABLE public.definitions TO tandem_review;
GRANT SELECT ON TABLE public.definitions TO tandem_reader;

GRANT SELECT ON TABLE public.installation TO tandem_speed;
GRANT SELECT ON TABLE public.installation TO tandem_batch;
GRANT SELECT ON TABLE public.installation TO tandem_reconciliation;
GRANT SELECT ON TABLE public.installation TO tandem_review;
GRANT SELECT ON TABLE public.installation TO tandem_reader;

GRANT SELECT ON TABLE public.kept_under TO tandem_speed;
GRANT SELECT ON TABLE public.kept_under TO tandem_batch;
GRANT SELECT ON TABLE public.kept_under TO tandem_reconciliation;
GRANT SELECT ON TABLE public.kept_under TO tandem_review;
GRANT SELECT ON TABLE public.kept_under TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE reconciliation.agreement TO tandem_reconciliation;
GRANT SELECT ON TABLE reconciliation.agreement TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE reconciliation.certificates TO tandem_reconciliation;
GRANT SELECT ON TABLE reconciliation.certificates TO tandem_reader;

GRANT USAGE ON SEQUENCE reconciliation.certificates_certificate_id_seq TO tandem_reconciliation;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE reconciliation.comparisons TO tandem_reconciliation;
GRANT SELECT ON TABLE reconciliation.comparisons TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE reconciliation.corrections TO tandem_reconciliation;
GRANT SELECT ON TABLE reconciliation.corrections TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE reconciliation.cut_category_hours TO tandem_reconciliation;
GRANT SELECT ON TABLE reconciliation.cut_category_hours TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE reconciliation.cut_distincts TO tandem_reconciliation;
GRANT SELECT ON TABLE reconciliation.cut_distincts TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE reconciliation.cut_hourly_distincts TO tandem_reconciliation;
GRANT SELECT ON TABLE reconciliation.cut_hourly_distincts TO tandem_reader;

GRANT SELECT ON TABLE reconciliation.cut_offsets TO tandem_batch;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE reconciliation.cut_offsets TO tandem_reconciliation;
GRANT SELECT ON TABLE reconciliation.cut_offsets TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE reconciliation.cut_order_hours TO tandem_reconciliation;
GRANT SELECT ON TABLE reconciliation.cut_order_hours TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE reconciliation.cut_product_hours TO tandem_reconciliation;
GRANT SELECT ON TABLE reconciliation.cut_product_hours TO tandem_reader;

GRANT SELECT ON TABLE reconciliation.cuts TO tandem_batch;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE reconciliation.cuts TO tandem_reconciliation;
GRANT SELECT ON TABLE reconciliation.cuts TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE reconciliation.discrepancies TO tandem_reconciliation;
GRANT SELECT ON TABLE reconciliation.discrepancies TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE reconciliation.incidents TO tandem_reconciliation;
GRANT SELECT ON TABLE reconciliation.incidents TO tandem_reader;

GRANT USAGE ON SEQUENCE reconciliation.incidents_incident_id_seq TO tandem_reconciliation;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE reconciliation.reconciliations TO tandem_reconciliation;
GRANT SELECT ON TABLE reconciliation.reconciliations TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.adjustments TO tandem_speed;
GRANT SELECT ON TABLE speed.adjustments TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.adjustments TO tandem_reader;

GRANT SELECT ON TABLE reconciliation.journal_needs TO tandem_speed;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE reconciliation.journal_needs TO tandem_reconciliation;
GRANT SELECT ON TABLE reconciliation.journal_needs TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE reconciliation.lateness TO tandem_reconciliation;
GRANT SELECT ON TABLE reconciliation.lateness TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE reconciliation.ledger TO tandem_reconciliation;
GRANT SELECT ON TABLE reconciliation.ledger TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE reconciliation.mails TO tandem_reconciliation;
GRANT SELECT ON TABLE reconciliation.mails TO tandem_reader;

GRANT USAGE ON SEQUENCE reconciliation.mails_mail_id_seq TO tandem_reconciliation;

GRANT USAGE ON SEQUENCE reconciliation.reconciliations_reconciliation_id_seq TO tandem_reconciliation;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE reconciliation.reports TO tandem_reconciliation;
GRANT SELECT ON TABLE reconciliation.reports TO tandem_reader;

GRANT USAGE ON SEQUENCE reconciliation.reports_report_id_seq TO tandem_reconciliation;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE reconciliation.run_ends TO tandem_reconciliation;
GRANT SELECT ON TABLE reconciliation.run_ends TO tandem_reader;

GRANT SELECT ON TABLE serving.batch_daily TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.batch_daily TO tandem_reader;

GRANT SELECT ON TABLE serving.batch_horizon TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.batch_horizon TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.customer_totals TO tandem_speed;
GRANT SELECT ON TABLE speed.customer_totals TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.customer_totals TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.measures_since TO tandem_speed;
GRANT SELECT ON TABLE speed.measures_since TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.measures_since TO tandem_reader;

GRANT SELECT ON TABLE serving.customer_metrics TO tandem_speed;
GRANT SELECT ON TABLE serving.customer_metrics TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.customer_metrics TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.customer_minutes TO tandem_speed;
GRANT SELECT ON TABLE speed.customer_minutes TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.customer_minutes TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.partitions TO tandem_speed;
GRANT SELECT ON TABLE speed.partitions TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.partitions TO tandem_reader;

GRANT SELECT ON TABLE serving.customer_moving_average TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.customer_moving_average TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.sessions TO tandem_speed;
GRANT SELECT ON TABLE speed.sessions TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.sessions TO tandem_reader;

GRANT SELECT ON TABLE serving.customer_sessions TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.customer_sessions TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.order_minutes TO tandem_speed;
GRANT SELECT ON TABLE speed.order_minutes TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.order_minutes TO tandem_reader;

GRANT SELECT ON TABLE serving.speed_order_hours TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.speed_order_hours TO tandem_reader;

GRANT SELECT ON TABLE serving.speed_daily_measures TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.speed_daily_measures TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.customer_days TO tandem_speed;
GRANT SELECT ON TABLE speed.customer_days TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.customer_days TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.customer_days_pending TO tandem_speed;
GRANT SELECT ON TABLE speed.customer_days_pending TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.customer_days_pending TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.date_customers TO tandem_speed;
GRANT SELECT ON TABLE speed.date_customers TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.date_customers TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.date_customers_all TO tandem_speed;
GRANT SELECT ON TABLE speed.date_customers_all TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.date_customers_all TO tandem_reader;

GRANT SELECT ON TABLE serving.speed_daily TO tandem_speed;
GRANT SELECT ON TABLE serving.speed_daily TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.speed_daily TO tandem_reader;

GRANT SELECT ON TABLE serving.daily TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.daily TO tandem_reader;

GRANT SELECT ON TABLE serving.daily_order_aggregates TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.daily_order_aggregates TO tandem_reader;

GRANT SELECT ON TABLE serving.history TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.history TO tandem_reader;

GRANT SELECT ON TABLE serving.hourly_distincts TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.hourly_distincts TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.categories_entries TO tandem_speed;
GRANT SELECT ON TABLE speed.categories_entries TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.categories_entries TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.categories_finals TO tandem_speed;
GRANT SELECT ON TABLE speed.categories_finals TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.categories_finals TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.category_hours TO tandem_speed;
GRANT SELECT ON TABLE speed.category_hours TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.category_hours TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.finality TO tandem_speed;
GRANT SELECT ON TABLE speed.finality TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.finality TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.orders_entries TO tandem_speed;
GRANT SELECT ON TABLE speed.orders_entries TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.orders_entries TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.orders_finals TO tandem_speed;
GRANT SELECT ON TABLE speed.orders_finals TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.orders_finals TO tandem_reader;

GRANT SELECT ON TABLE serving.hourly_trend TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.hourly_trend TO tandem_reader;

GRANT SELECT ON TABLE serving.order_days TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.order_days TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.customer_months TO tandem_speed;
GRANT SELECT ON TABLE speed.customer_months TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.customer_months TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.month_customers TO tandem_speed;
GRANT SELECT ON TABLE speed.month_customers TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.month_customers TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.month_customers_all TO tandem_speed;
GRANT SELECT ON TABLE speed.month_customers_all TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.month_customers_all TO tandem_reader;

GRANT SELECT ON TABLE serving.monthly_order_aggregates TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.monthly_order_aggregates TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.product_totals TO tandem_speed;
GRANT SELECT ON TABLE speed.product_totals TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.product_totals TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.product_totals_pending TO tandem_speed;
GRANT SELECT ON TABLE speed.product_totals_pending TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.product_totals_pending TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.product_totals_all TO tandem_speed;
GRANT SELECT ON TABLE speed.product_totals_all TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.product_totals_all TO tandem_reader;

GRANT SELECT ON TABLE serving.product_metrics TO tandem_speed;
GRANT SELECT ON TABLE serving.product_metrics TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.product_metrics TO tandem_reader;

GRANT SELECT ON TABLE serving.product_rankings_dates TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.product_rankings_dates TO tandem_reader;

GRANT SELECT ON TABLE serving.product_rankings TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.product_rankings TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.quality TO tandem_speed;
GRANT SELECT ON TABLE speed.quality TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.quality TO tandem_reader;

GRANT SELECT ON TABLE serving.quality_metrics TO tandem_speed;
GRANT SELECT ON TABLE serving.quality_metrics TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.quality_metrics TO tandem_reader;

GRANT SELECT ON TABLE serving.revenue_windows TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.revenue_windows TO tandem_reader;

GRANT SELECT ON TABLE serving.rfm_dates TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.rfm_dates TO tandem_reader;

GRANT SELECT ON TABLE serving.rfm TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.rfm TO tandem_reader;

GRANT SELECT ON TABLE serving.rfm_transitions TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.rfm_transitions TO tandem_reader;

GRANT SELECT ON TABLE serving.speed_category_hours TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.speed_category_hours TO tandem_reader;

GRANT SELECT ON TABLE serving.speed_monthly TO tandem_speed;
GRANT SELECT ON TABLE serving.speed_monthly TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.speed_monthly TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.product_hours TO tandem_speed;
GRANT SELECT ON TABLE speed.product_hours TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.product_hours TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.product_hours_pending TO tandem_speed;
GRANT SELECT ON TABLE speed.product_hours_pending TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.product_hours_pending TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.product_hours_all TO tandem_speed;
GRANT SELECT ON TABLE speed.product_hours_all TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.product_hours_all TO tandem_reader;

GRANT SELECT ON TABLE serving.speed_product_hours TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.speed_product_hours TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.outcomes TO tandem_speed;
GRANT SELECT ON TABLE speed.outcomes TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.outcomes TO tandem_reader;

GRANT SELECT ON TABLE serving.stream_outcomes TO tandem_reconciliation;
GRANT SELECT ON TABLE serving.stream_outcomes TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.alerts TO tandem_speed;
GRANT SELECT ON TABLE speed.alerts TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.alerts TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.category_minutes TO tandem_speed;
GRANT SELECT ON TABLE speed.category_minutes TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.category_minutes TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.category_minutes_pending TO tandem_speed;
GRANT SELECT ON TABLE speed.category_minutes_pending TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.category_minutes_pending TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.category_minutes_all TO tandem_speed;
GRANT SELECT ON TABLE speed.category_minutes_all TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.category_minutes_all TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.compacted TO tandem_speed;
GRANT SELECT ON TABLE speed.compacted TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.compacted TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.customer_days_all TO tandem_speed;
GRANT SELECT ON TABLE speed.customer_days_all TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.customer_days_all TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.idle_marks TO tandem_speed;
GRANT SELECT ON TABLE speed.idle_marks TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.idle_marks TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.journal TO tandem_speed;
GRANT SELECT ON TABLE speed.journal TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.journal TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.journal_expired TO tandem_speed;
GRANT SELECT ON TABLE speed.journal_expired TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.journal_expired TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.journal_kept TO tandem_speed;
GRANT SELECT ON TABLE speed.journal_kept TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.journal_kept TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.outbox TO tandem_speed;
GRANT INSERT ON TABLE speed.outbox TO tandem_review;
GRANT SELECT ON TABLE speed.outbox TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.outbox TO tandem_reader;

GRANT USAGE ON SEQUENCE speed.outbox_message_id_seq TO tandem_speed;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.payment_method_minutes TO tandem_speed;
GRANT SELECT ON TABLE speed.payment_method_minutes TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.payment_method_minutes TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.payment_method_minutes_pending TO tandem_speed;
GRANT SELECT ON TABLE speed.payment_method_minutes_pending TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.payment_method_minutes_pending TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.payment_method_minutes_all TO tandem_speed;
GRANT SELECT ON TABLE speed.payment_method_minutes_all TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.payment_method_minutes_all TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.published TO tandem_speed;
GRANT SELECT ON TABLE speed.published TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.published TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.publisher TO tandem_speed;
GRANT SELECT ON TABLE speed.publisher TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.publisher TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.quarantine TO tandem_speed;
GRANT SELECT,DELETE ON TABLE speed.quarantine TO tandem_review;
GRANT SELECT ON TABLE speed.quarantine TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.quarantine TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.rebuilds TO tandem_speed;
GRANT SELECT ON TABLE speed.rebuilds TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.rebuilds TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.region_minutes TO tandem_speed;
GRANT SELECT ON TABLE speed.region_minutes TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.region_minutes TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.region_minutes_pending TO tandem_speed;
GRANT SELECT ON TABLE speed.region_minutes_pending TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.region_minutes_pending TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.region_minutes_all TO tandem_speed;
GRANT SELECT ON TABLE speed.region_minutes_all TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.region_minutes_all TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.reviews TO tandem_speed;
GRANT SELECT,INSERT ON TABLE speed.reviews TO tandem_review;
GRANT SELECT ON TABLE speed.reviews TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.reviews TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.sketches TO tandem_speed;
GRANT SELECT ON TABLE speed.sketches TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.sketches TO tandem_reader;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE speed.topics TO tandem_speed;
GRANT SELECT ON TABLE speed.topics TO tandem_reconciliation;
GRANT SELECT ON TABLE speed.topics TO tandem_reader;
