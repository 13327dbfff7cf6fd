"""A date that was compared again before its corrections went out needs its journal no more for that."""

from tandem.database import run_migration

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
