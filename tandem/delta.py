"""Delta tables: opened with an error that says what to do, and read by polars whatever their folders are called.

delta-rs writes the names of local files as a URL has them, so that a space is ``%20``; polars takes them as they stand,
and finds no such file.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tandem.errors import TandemError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl
    from deltalake import DeltaTable


@contextmanager
def reading(what: str, remedy: str = "check the storage") -> Iterator[None]:
    """Say in one line that ``what`` cannot be read."""
    from deltalake.exceptions import DeltaError

    try:
        yield
    except (DeltaError, OSError) as error:
        raise TandemError(f"{what} cannot be read ({first_line(error)})", remedy) from error


def find(address: str) -> DeltaTable | None:
    """The newest version of a table, or None where there is none. Raises TandemError where it cannot be read."""
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    with reading(address):
        try:
            return DeltaTable(address)
        except TableNotFoundError:
            return None


def at(address: str, version: int | None, remedy: str = "check the storage") -> DeltaTable:
    """A table at a version, None for the newest. Raises TandemError, with ``remedy``, where that cannot be read."""
    from deltalake import DeltaTable

    with reading(address if version is None else f"version {version} of {address}", remedy):
        return DeltaTable(address, version=version)


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
