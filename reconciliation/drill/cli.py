"""``tandem drill``."""

from __future__ import annotations

import secrets
import time
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from tandem import business_date, documents
from tandem.errors import TandemError
from tandem.settings import PROJECT_ROOT, settings

_FOLDER = PROJECT_ROOT / ".tandem-drill"


def drill(  # noqa: PLR0917 - Typer's options, which are given by name
    faults: Annotated[int, typer.Option(metavar="N", help="How many faults to plant, of all kinds.", min=0)] = 100,
    seed: Annotated[int | None, typer.Option(help="The same seed plants the same faults; random if none.")] = None,
    first: Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="First business date.")] = "2017-12-01",
    last: Annotated[str, typer.Option("--to", metavar="YYYY-MM-DD", help="Last date, included.")] = "2017-12-31",
    clean_days: Annotated[int, typer.Option(help="So many dates get no fault and must raise no alarm.", min=0)] = 5,
    layers: Annotated[
        bool, typer.Option("--layers", help="Spoil the layers themselves instead, on the 14 dates from --from on.")
    ] = False,
    page: Annotated[Path | None, typer.Option(help="Also write the matrix as an HTML page to this file.")] = None,
    folder: Annotated[Path, typer.Option(help="State folder of the drill's own installation.")] = _FOLDER,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the installation running, to look into it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")] = False,
) -> None:
    """Plant known faults in real orders, run everything on them, and check that each is found with cause and amount.

    Works in an installation of its own, beside yours. Exit status 0 only if the matrix of planted and found causes is
    diagonal, nothing is unexplained, and nothing raised a false alarm; else 1. `docs/drill.md` says how to read it.

    Example: `tandem drill --faults 50 --seed 7 --from 2017-12-01 --to 2017-12-14`, or the whole year:
    `tandem drill --faults 500 --clean-days 100 --from 2017-01-01 --to 2018-01-01`
    """
    from reconciliation.drill import conduct, platform, show
    from reconciliation.drill import layers as spoilt
    from tandem.demo.progress import Progress
    from tandem.local.process import environment

    if layers and page is not None:
        raise TandemError("faults in the layers have no page", "leave --page or --layers out")
    began = time.monotonic()
    start, end = business_date.entered_range(first, max(first, last) if layers else last)
    if layers:
        end = start + timedelta(days=spoilt.DAYS - 1)
    chosen = secrets.randbelow(2**31) if seed is None else seed
    own = platform.own_settings(settings(), folder.absolute())
    progress = Progress(environment=environment(own), stderr=True)
    asked = {"seed": chosen, "from": str(start), "to": str(end)}
    with platform.running(own, progress, keep=keep) as running:
        if layers:
            result = show.of_layers(spoilt.conduct(start, chosen, running), own.currency)
        else:
            order = conduct.Order(start, end, faults, clean_days, chosen)
            result = show.of_data(conduct.conduct(order, running), own.currency)
    if page is not None and result.page is not None:
        _write(page, result.page(f"Drill with seed {chosen}, {start} to {end}"))
    seconds = round(time.monotonic() - began)
    if as_json:
        typer.echo(documents.text({**asked, "seconds": seconds, **result.document}))
    else:
        result.terminal()
        typer.echo(f"Seed {chosen}, {start} to {end}, {seconds} s.")
    if not result.passed:
        raise typer.Exit(1)


def _write(page: Path, text: str) -> None:
    try:
        page.write_text(text, encoding="utf-8")
    except OSError as error:
        raise TandemError(f"cannot write {page}: {error.strerror}", "name a file in a folder that exists") from error
    typer.echo(f"wrote {page}", err=True)
