"""What tells that events of a date have come since it was published."""

from tandem.database import run_migration

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
