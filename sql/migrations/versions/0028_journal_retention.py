"""What retention has taken of the journal, and which dates still need theirs."""

from tandem.database import run_migration

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
