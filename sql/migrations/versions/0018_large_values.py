"""Large values are compressed once."""

from tandem.database import run_migration

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
