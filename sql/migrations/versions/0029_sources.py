"""What a date's segments and rankings were made of: facts that a gate had refused passed for published ones."""

from tandem.database import run_migration

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
