"""Up to when sketches are merged, so that a worker that starts does not look through the whole history."""

from tandem.database import run_migration

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
