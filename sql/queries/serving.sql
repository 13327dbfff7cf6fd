-- What `tandem kpi` asks of the serving views. One row or none; the KPIs are columns of their names.

-- name: speed
SELECT daily.*, progress.watermark, (SELECT up_to FROM speed.finality) AS up_to
FROM serving.speed_daily AS daily
CROSS JOIN (SELECT max(watermark) AS watermark FROM speed.partitions) AS progress
WHERE business_date = %(business_date)s;

-- name: batch
SELECT * FROM serving.batch_daily WHERE business_date = %(business_date)s;

-- name: serving
SELECT * FROM serving.daily WHERE business_date = %(business_date)s;
