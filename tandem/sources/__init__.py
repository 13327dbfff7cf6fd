"""Real and own data into Kafka."""
