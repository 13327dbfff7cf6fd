"""Of a customer's date only is kept that there is one: their orders and cents of it were read by nobody."""

from tandem.database import run_migration

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
