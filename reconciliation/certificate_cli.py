"""``tandem certificate`` and ``tandem verify``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tandem import business_date, database, documents
from tandem.errors import TandemError
from tandem.settings import settings

_DAY = "YYYY-MM-DD"


def certificate(
    date: Annotated[str, typer.Option("--date", metavar=_DAY, help="The business date.")],
    out: Annotated[Path | None, typer.Option(help="File to write; standard output if none.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print it, which is JSON, also where it is written to a file.")
    ] = False,
) -> None:
    """Print a date's certificate: what was compared, at which offsets, and the hashes of both books.

    Example: `tandem certificate --date 2017-12-23 --out certificate.json`.
    """
    text = documents.text(_of_date(date))
    if out is not None:
        _write(out, text)
    if out is None or as_json:
        typer.echo(text)


def _write(out: Path, text: str) -> None:
    try:
        out.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise TandemError(f"cannot write {out}: {error.strerror}", "name a file in a folder that exists") from error
    typer.echo(f"wrote {out}", err=True)


def verify(
    file: Annotated[Path | None, typer.Option("--certificate", metavar="FILE", help="A certificate's file.")] = None,
    date: Annotated[str, typer.Option("--date", metavar=_DAY, help="The newest certificate of this date.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Work a certificate out again from the books, and say in one line whether it holds.

    Exit status 0 it holds, 1 it does not, 2 it could not be checked. Example: `tandem verify --date 2017-12-23`.
    """
    from reconciliation import verify as verifying

    if (file is None) == (not date):
        raise TandemError("which certificate?", "give --certificate FILE or --date D")
    found = verifying.verify(settings(), _of_date(date) if file is None else _read(file))
    if as_json:
        number = found.certificate.get("reconciliation_id")
        document = {"holds": found.holds, "reconciliation_id": number, "broken": found.broken}
        typer.echo(documents.text(document, indent=None))
    else:
        typer.echo(found.line)
    raise typer.Exit(0 if found.holds else 1)


def _of_date(date: str) -> dict[str, Any]:
    from reconciliation import certificate as certificates
    from reconciliation import store

    day = business_date.parse(date)
    with database.connect(settings(), database.READER) as connection:
        found = store.latest(connection, day)
    if found is None:
        raise TandemError(f"{day} was never reconciled", f"run 'tandem reconcile --date {day}'")
    return certificates.of(settings(), found.reconciliation_id)


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise TandemError(f"cannot read {file}: {error.strerror}", "give another file") from error
    except ValueError as error:
        raise TandemError(f"{file} is not JSON", f"write one: tandem certificate --date D --out {file}") from error
