-- What an installation keeps for good: in which time zone and currency its books are. Parameters are bound.

-- name: settle   The first one to come says it.
INSERT INTO public.installation (business_timezone, currency) VALUES (%(business_timezone)s, %(currency)s)
ON CONFLICT DO NOTHING;

-- name: kept
SELECT business_timezone, currency FROM public.installation;
