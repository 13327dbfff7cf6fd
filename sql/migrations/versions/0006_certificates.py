"""Convergence certificates."""

from tandem.database import run_migration

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
