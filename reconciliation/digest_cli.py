"""``tandem digest``: a week in one page."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tandem import business_date, database, documents
from tandem.errors import TandemError
from tandem.logs import configure_logging
from tandem.settings import settings

if TYPE_CHECKING:
    from reconciliation.digest import Digest


def digest(
    week: Annotated[str, typer.Option("--week", metavar="YYYY-Www", help="A week from Monday to Sunday.")] = "",
    last: Annotated[str, typer.Option("--to", metavar="YYYY-MM-DD", help="Or the last of seven dates.")] = "",
    out: Annotated[Path | None, typer.Option(help="File to write: .html, .txt or .json.")] = None,
    send: Annotated[bool, typer.Option("--send", help="Mail it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Write a week's verdicts, totals, corrections, open incidents and waiting corrections; the last one by default.

    Example: `tandem digest --week 2017-W51 --out week.html`.
    """
    from reconciliation import digest as digests
    from reconciliation import digest_pages, mail

    configure_logging()
    now, day = dt.datetime.now(dt.UTC), _last_of(week, last)
    # Of a week that has begun the days to come are shown as such.
    business_date.require_begun(day - dt.timedelta(days=6) if week else day, now=now, zone=settings().zone)
    with database.snapshot(settings()) as connection:
        found = digests.of_week(connection, settings(), day)
    if out is not None:
        _write(found, out)
    if send:
        delivery = mail.send_digest(settings(), day)
        if delivery.kept:
            raise delivery.not_sent
    if as_json:
        typer.echo(documents.text(digests.document(found)))
    elif out is None and not send:
        typer.echo(digest_pages.text(found), nl=False)


def _last_of(week: str, last: str) -> dt.date:
    if week and last:
        raise TandemError("which week?", "give --week or --to, not both")
    if last:
        return business_date.parse(last)
    if not week:
        return dt.datetime.now(settings().zone).date() - dt.timedelta(days=1)
    entered = re.fullmatch(r"(\d{4})-?W(\d{1,2})", week.strip())
    try:
        year, number = map(int, entered.groups() if entered else ("", ""))
        return dt.date.fromisocalendar(year, number, 7)
    except ValueError:
        raise TandemError(f"'{week}' is not a week", "write it as 2017-W51") from None


def _write(found: Digest, out: Path) -> None:
    from reconciliation import digest as digests
    from reconciliation import digest_pages, files

    forms = {
        ".html": digest_pages.standalone,
        ".txt": digest_pages.text,
        ".json": lambda value: documents.text(digests.document(value)),
    }
    files.write(found, out, forms)
