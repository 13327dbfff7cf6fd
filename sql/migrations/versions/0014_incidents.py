"""What people were told of by mail and is not over yet."""

from tandem.database import run_migration

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
