"""Of which facts a gate's results are, and staged rows, so that nothing is published that no gate checked."""

from tandem.database import run_migration

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
