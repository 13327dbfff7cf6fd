"""What each declared name means, so that none comes to mean something else."""

from tandem.database import run_migration

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
