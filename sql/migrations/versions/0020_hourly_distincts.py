"""How many different customers and products either layer saw in an hour, for their comparison."""

from tandem.database import run_migration

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
