"""From which date on the stream has kept each measure, so that one declared later is not taken for 0 before."""

from tandem.database import run_migration

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
