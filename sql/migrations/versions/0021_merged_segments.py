"""Journal segments of many small micro-batches become one."""

from tandem.database import run_migration

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
