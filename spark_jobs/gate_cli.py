"""``tandem gates``: what a run's checks found."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from spark_jobs import gate_page
from tandem import business_date, documents
from tandem.errors import TandemError
from tandem.settings import settings


def gates(
    date: Annotated[str, typer.Option("--date", metavar="YYYY-MM-DD", help="The business date.")],
    run_id: Annotated[str, typer.Option("--run-id", metavar="ID", help="The run; the last checked one if none.")] = "",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the page, as HTML.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Show what the checks of a date's run found, with the rows that fail.

    Exit status: 0 passed, 1 a check failed and nothing was published, 2 nothing was checked.

    Example: `tandem gates --date 2017-12-23 --out gates.html`
    """
    page = gate_page.read(settings(), business_date.parse(date), run_id or None)
    if out is not None:
        try:
            out.write_text(gate_page.html(page), encoding="utf-8")
        except OSError as error:
            raise TandemError(f"{out} cannot be written ({error.strerror})", "name another file") from error
    if as_json:
        typer.echo(documents.text(asdict(page)))
    elif out is None:
        for check in page.checks:
            typer.echo(f"{check.outcome:<8} {check.suite}: {check.expectation} {check.observed}".rstrip())
    if page.failed:
        raise typer.Exit(1)
