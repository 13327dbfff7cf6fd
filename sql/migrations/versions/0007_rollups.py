"""The sketches of the roll-ups."""

from tandem.database import run_migration

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
