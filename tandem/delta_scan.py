"""Delta tables read by polars, whatever the folders are called that they lie in.

delta-rs writes the names of local files as a URL has them, so that a space is ``%20``; polars takes them as they stand,
and finds no such file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    import polars as pl
    from deltalake import DeltaTable


def plain(uri: str) -> str:
    """An address of delta-rs as everyone else takes it."""
    return unquote(uri) if uri.startswith(("/", "file://")) else uri


def scan(table: DeltaTable) -> pl.LazyFrame:
    """All rows of the table at the handle's version, to be read by column."""
    import polars as pl
    from deltalake import DeltaTable

    if plain(table.table_uri) == table.table_uri:
        return pl.scan_delta(table)

    class Plain(DeltaTable):  # type: ignore[misc]  # it has no types
        """The table with the names that its files have on the disk."""

        def file_uris(self, *args: object, **kwargs: object) -> list[str]:
            return [plain(uri) for uri in super().file_uris(*args, **kwargs)]

    return pl.scan_delta(Plain(plain(table.table_uri).removeprefix("file://"), version=table.version()))
