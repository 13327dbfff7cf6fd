"""Postgres, Kafka, Airflow and a mail catcher on one machine."""
