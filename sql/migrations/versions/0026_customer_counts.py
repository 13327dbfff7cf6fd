"""How many customers a date and a month have is counted as rows are settled, instead of anew for whoever asks."""

from tandem.database import run_migration

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
