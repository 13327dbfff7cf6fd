"""${message}"""

from tandem.database import run_migration

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_migration(__file__)
