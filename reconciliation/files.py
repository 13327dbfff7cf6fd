"""Writes a value into a file whose ending says in which form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import typer

from tandem.errors import TandemError

Value = TypeVar("Value")


def write(value: Value, out: Path, forms: Mapping[str, Callable[[Value], str]]) -> None:
    """Write ``value`` in the form of the file's ending. Raises TandemError for another ending or an unknown folder."""
    if out.suffix not in forms:
        *first, last = forms
        raise TandemError(f"'{out}' is no kind of report", f"end it in {', '.join(first)} or {last}")
    try:
        out.write_text(forms[out.suffix](value), encoding="utf-8")
    except OSError as error:
        raise TandemError(f"cannot write {out}: {error.strerror}", "name a file in a folder that exists") from error
    typer.echo(f"wrote {out}", err=True)
