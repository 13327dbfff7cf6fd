"""Which topics the books are of, so that one that was deleted and made anew does not pass for the old one."""

from tandem.database import run_migration

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
