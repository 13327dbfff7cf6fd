"""What is kept of versions that were superseded long ago."""

from tandem.database import run_migration

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
