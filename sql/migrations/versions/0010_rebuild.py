"""Where a partition began."""

from tandem.database import run_migration

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
