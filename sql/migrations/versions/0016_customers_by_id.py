"""One index for a customer's totals instead of two."""

from tandem.database import run_migration

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
