"""Alerts, quality, and what has gone out to Kafka."""

from tandem.database import run_migration

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
