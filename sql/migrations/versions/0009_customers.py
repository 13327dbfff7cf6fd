"""Customers' sessions and minutes."""

from tandem.database import run_migration

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
