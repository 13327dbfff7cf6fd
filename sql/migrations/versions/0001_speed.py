"""The speed layer's tables."""

from tandem.database import run_migration

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
