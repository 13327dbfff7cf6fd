"""What people decide about quarantined records."""

from tandem.database import run_migration

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
