"""How far the layers agree on rankings and customers, kept with a comparison."""

from tandem.database import run_migration

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
