"""Which Delta table the versions of order_facts in the database are of.

A table that is made anew, or another at the address in the settings, has versions from 0 on as well; and one that was
set back, as to a backup, writes the versions that it lost once more. What the database says of a version would be read
from other facts, unnoticed, once it has as many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tandem import database, delta
from tandem.errors import TandemError

if TYPE_CHECKING:
    import psycopg
    from deltalake import DeltaTable

    from tandem.settings import Settings


def note(connection: psycopg.Connection[object], table: DeltaTable) -> None:
    """Note the table that versions are of, where none is noted yet."""
    connection.execute(database.queries("batch").note_facts_table, {"table_id": _id(table)})


def require_same(settings: Settings, table: DeltaTable | None = None) -> None:
    """Raises TandemError where another table is noted than is there, or it has lost versions that runs have written.

    ``table``: where it is open already.
    """
    with database.connect(settings, database.READER) as connection:
        row = connection.execute(database.queries("batch").facts_table).fetchone()
    if row is None:
        return
    noted, newest = row
    found = table or delta.find(settings.order_facts)
    if found is None or _id(found) != noted:
        what = "is not the table" if found else "is empty, and not the table"
        raise TandemError(
            f"order_facts at {settings.order_facts} {what} that the published figures were made of: it was made anew,"
            " or TANDEM_ORDER_FACTS_URI names another",
            "set it back; where the table is gone for good see 'Another order_facts table' in docs/archive.md",
        )
    # One that was opened before may be behind by what was written since.
    if (
        newest is not None
        and found.version() < newest
        and (now := delta.find(settings.order_facts))
        and now.version() < newest
    ):
        raise TandemError(
            f"order_facts at {settings.order_facts} has only versions up to {now.version()}, and a run has written"
            f" {newest}: it was set back, as to a backup",
            "bring the newer table back; where it is gone for good see 'Another order_facts table' in docs/archive.md",
        )


def _id(table: DeltaTable) -> str:
    return str(table.metadata().id)
