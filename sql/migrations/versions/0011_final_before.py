"""How far the word has gone out that hours are final."""

from tandem.database import run_migration

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
