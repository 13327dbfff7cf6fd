"""Which settings the books are kept under, so that no process works under others."""

from tandem.database import run_migration

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
