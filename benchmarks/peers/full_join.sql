-- The orders that the layers did not book alike.
SELECT partition, "offset" FROM booked_by_speed AS speed FULL JOIN booked_by_batch AS batch USING (partition, "offset")
WHERE (speed.order_id, speed.event_type, speed.cents, speed.units, speed.customer_id, speed.hour)
      IS DISTINCT FROM (batch.order_id, batch.event_type, batch.cents, batch.units, batch.customer_id, batch.hour);
