"""When figures of the speed layer were swapped for rebuilt ones, beneath corrections that stand."""

from tandem.database import run_migration

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
