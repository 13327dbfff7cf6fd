"""Which table the versions of order_facts are of, so that one that was made anew does not pass for it."""

from tandem.database import run_migration

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
