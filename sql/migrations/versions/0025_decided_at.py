"""When a correction was let go, and which rebuilds a cut saw: the time at which a row was kept tells neither."""

from tandem.database import run_migration

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
