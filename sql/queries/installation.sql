-- Under which settings the books of an installation are kept. Parameters are bound.

-- name: settle   The first one to come says it.
INSERT INTO public.installation (business_timezone, currency)
VALUES (%(TANDEM_BUSINESS_TIMEZONE)s, %(TANDEM_CURRENCY)s)
ON CONFLICT DO NOTHING;

-- name: settle_setting   ... and of a setting that was added later, the first one to come since.
INSERT INTO public.kept_under (setting, value) VALUES (%(setting)s, %(value)s)
ON CONFLICT DO NOTHING;

-- name: change_setting
UPDATE public.kept_under SET value = %(value)s WHERE setting = %(setting)s;

-- name: kept
SELECT 'TANDEM_BUSINESS_TIMEZONE' AS setting, business_timezone AS value FROM public.installation
UNION ALL
SELECT 'TANDEM_CURRENCY', currency FROM public.installation
UNION ALL
SELECT setting, value FROM public.kept_under;

-- name: define   The first one to declare a name says what it means.
INSERT INTO public.definitions (name, definition) VALUES (%(name)s, %(definition)s)
ON CONFLICT DO NOTHING;

-- name: definitions
SELECT name, definition FROM public.definitions;

-- name: fence   Workers that run begin anew, and are told.
UPDATE speed.partitions SET epoch = epoch + 1;
