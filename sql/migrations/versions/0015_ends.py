"""How runs ended is called so: a digest is the mail about a week."""

from tandem.database import run_migration

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
