"""``tandem quarantine list | show | approve | reject``."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from stream import review
from stream.release import Address, Correction, StillFailsError
from tandem import business_date, documents
from tandem.errors import TandemError
from tandem.settings import settings

_ADDRESS = typer.Argument(metavar="ADDRESS", help="topic:partition:offset, as 'list' shows it.")
_ADDRESSES = typer.Argument(metavar="ADDRESS...", help="topic:partition:offset, as 'list' shows it.")
_BY = typer.Option("--by", metavar="NAME", help="Who decides; you, where it is left out.")
_NOTE = typer.Option("--note", metavar="TEXT", help="Why; kept with the decision.")
_JSON = typer.Option("--json", help="Print JSON on stdout.")

quarantine = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Review what the checks rejected: put it back corrected, or delete it for good.",
)


@quarantine.command("list")
def list_records(
    date: Annotated[str, typer.Option("--date", metavar="YYYY-MM-DD", help="Only of this business date.")] = "",
    reason: Annotated[str, typer.Option("--reason", metavar="CODE", help="Only with this failed check.")] = "",
    status: Annotated[str, typer.Option("--status", help="waiting, approved, rejected, or all.")] = review.WAITING,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most so many.")] = 100,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """List quarantined records: those that wait for a decision, or those that were decided.

    Example: `tandem quarantine list --date 2017-12-23 --reason INVALID_TOTAL_AMOUNT`
    """
    if status not in {*review.STATUSES, "all"}:
        raise TandemError(f"'{status}' is no status", f"give one of {', '.join(review.STATUSES)}, all")
    day = business_date.parse(date) if date else None
    wanted = review.Filter(None if status == "all" else status, day, reason or None)
    records, total = review.find(settings(), wanted, limit)
    if as_json:
        typer.echo(documents.text([_as_json(record) for record in records]))
        return
    typer.echo("\n".join(map(_line, records)) or "nothing in quarantine that fits")
    if total > len(records):
        typer.echo(f"and {total - len(records)} more: give --limit {total}")


@quarantine.command()
def show(address: Annotated[str, _ADDRESS], as_json: Annotated[bool, _JSON] = False) -> None:
    """Show a record as it came, why it was quarantined, and what was decided.

    Example: `tandem quarantine show order-events:3:17`
    """
    record = review.show(settings(), Address.parse(address))
    if as_json:
        typer.echo(documents.text({**_as_json(record), **_values(record)}))
        return
    typer.echo(_line(record))
    for title, value in _values(record).items():
        if value is not None:
            typer.echo(f"\n{title.replace('_', ' ')}:\n{value}")


@quarantine.command()
def approve(  # noqa: PLR0917 - typer passes options by name
    addresses: Annotated[list[str], _ADDRESSES],
    data: Annotated[
        str, typer.Option("--data", metavar="JSON", help="What to change, as a JSON object; @FILE, or - for stdin.")
    ] = "",
    whole: Annotated[
        bool, typer.Option("--whole", help="The data is the whole event; else it is merged, and null removes.")
    ] = False,
    by: Annotated[str, _BY] = "",
    note: Annotated[str, _NOTE] = "",
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Put records back, corrected. The checks look at each again before it goes out; it counts once, in both layers.

    Exit status: 0 done, 1 a check still fails, 2 it could not be done.

    Example: `tandem quarantine approve order-events:3:17 --data '{"customer_id": "c-17"}'`
    """
    correction = Correction(_read(data), whole)

    def decide(address: Address) -> review.Decided:
        return review.approve(
            settings(), address, correction, by=by or getpass.getuser(), now=datetime.now(UTC), note=note
        )

    _decide_all(addresses, decide, as_json=as_json)


@quarantine.command()
def reject(
    addresses: Annotated[list[str], _ADDRESSES],
    by: Annotated[str, _BY] = "",
    note: Annotated[str, _NOTE] = "",
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Delete records from quarantine for good. Who and when is kept, and the archive keeps the record as it came.

    Exit status: 0 done, 2 it could not be done.

    Example: `tandem quarantine reject order-events:3:17 --note "a test of the shop's"`
    """

    def decide(address: Address) -> review.Decided:
        return review.reject(settings(), address, by=by or getpass.getuser(), note=note)

    _decide_all(addresses, decide, as_json=as_json)


def _decide_all(addresses: list[str], decide: Callable[[Address], review.Decided], *, as_json: bool) -> None:
    """Decide each by itself; one that cannot be decided keeps none of the others from it."""
    wanted = [Address.parse(address) for address in addresses]
    told, code = [], 0
    for address in wanted:
        try:
            decided = decide(address)
        except TandemError as error:
            code = max(code, 1 if isinstance(error, StillFailsError) else 2)
            told.append({"address": str(address), "error": str(error)})
            typer.echo(f"tandem: {error}", err=True)
        else:
            told.append(_told(decided))
            if not as_json:
                typer.echo(str(decided))
    if as_json:
        typer.echo(documents.text(told))
    if code:
        raise typer.Exit(code)


def _told(decided: review.Decided) -> dict[str, Any]:
    out = decided.release
    return {
        "address": str(decided.address),
        "decision": decided.decision,
        "decided_by": decided.decided_by,
        "already": decided.already,
        "event_id": out and out.event_id,
        "business_date": out and out.business_date,
        "warnings": list(out.warnings) if out else [],
    }


def _as_json(record: review.Record) -> dict[str, Any]:
    facts = {name: value for name, value in asdict(record).items() if not name.endswith("value")}
    return {"address": record.address, **facts}


def _values(record: review.Record) -> dict[str, str | None]:
    """Both values as texts for people."""
    values = {"value": record.value, "released_value": record.released_value}
    return {name: None if value is None else value.decode("utf-8", "replace") for name, value in values.items()}


def _line(record: review.Record) -> str:
    status = {None: record.status, True: "approved, sent", False: "approved, waits for a speed worker"}[record.sent]
    by = f" by {record.decided_by} at {record.decided_at:%Y-%m-%d %H:%M}" if record.decided_at else ""
    parts = (
        record.address,
        record.business_date or "no date",
        record.event_type or "no type",
        ",".join(record.reasons),
    )
    note = f" ({record.note})" if record.note else ""
    return "  ".join(map(str, parts)) + f"  {status}{by}{note}"


def _read(data: str) -> str:
    """What ``--data`` means. Raises TandemError where its file cannot be read."""
    if data == "-":
        return sys.stdin.read()
    if not data.startswith("@"):
        return data
    try:
        return Path(data[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TandemError(f"{data[1:]} cannot be read ({error})", "name a file of JSON in UTF-8") from error
