"""What the DAGs remember between runs."""

from tandem.database import run_migration

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
