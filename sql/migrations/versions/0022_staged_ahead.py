"""The application that writes a night's facts stages its views too, for their own tasks to find."""

from tandem.database import run_migration

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
