"""Which record of each partition was read last, so that a worker sees that Kafka was set back."""

from tandem.database import run_migration

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
