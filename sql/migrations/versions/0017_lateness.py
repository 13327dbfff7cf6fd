"""What each allowed lateness would have made of a date, kept with its comparison."""

from tandem.database import run_migration

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
