"""Reconciliation's tables."""

from tandem.database import run_migration

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
