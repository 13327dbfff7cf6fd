"""What ``tandem replay`` prints: progress and remarks on standard error, results on standard output."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tandem import documents
from tandem.amounts import count, show
from tandem.kpis import Unit
from tandem.sources.labels import Label, by_kind, revenue_difference
from tandem.sources.own_data import Reject
from tandem.sources.preview import Preview
from tandem.sources.producer import ReplayResult

PLAIN_SECONDS = 5.0
"""How often progress is a line of its own where there is no terminal."""
_NOTES = Console(stderr=True, highlight=False)


def note(text: str) -> None:
    """A remark to the person at the terminal."""
    typer.echo(text, err=True)


@contextmanager
def working(text: str) -> Iterator[None]:
    """Say what takes a while."""
    if _NOTES.is_terminal:
        with _NOTES.status(text):
            yield
    else:
        note(f"{text} ...")
        yield


@contextmanager
def sending(total: int) -> Iterator[Callable[[ReplayResult], None]]:
    """Show how many of the events are visible to readers, and how many a second."""
    if not _NOTES.is_terminal:
        yield _plain_lines(total)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]} events/s"), TimeRemainingColumn())
    with Progress(*columns, console=_NOTES) as progress:
        task = progress.add_task("replay", total=total, rate="–")
        yield lambda done: progress.update(task, completed=done.events, rate=f"{_rate(done):,.0f}")


def _plain_lines(total: int) -> Callable[[ReplayResult], None]:
    last = time.monotonic()

    def line(done: ReplayResult) -> None:
        nonlocal last
        if time.monotonic() - last >= PLAIN_SECONDS:
            last = time.monotonic()
            note(f"{done.events:,} of {total:,} events, {_rate(done):,.0f} a second")

    return line


def _rate(done: ReplayResult) -> float:
    return done.events / done.seconds if done.seconds else 0.0


def sent(done: ReplayResult, currency: str) -> None:
    """What a replay did, in words."""
    if done.interrupted:
        note("interrupted: the open transaction is aborted, and what follows is what readers see")
    orders = f"{count(done.orders, 'order')}, revenue {show(done.revenue_cents, Unit.CENTS, currency)}"
    back = f", {count(done.cancellations, 'cancellation')}" if done.cancellations else ""
    planted = f", {count(done.planted, 'record')} of planted faults" if done.planted else ""
    events, rate = count(done.events, "event"), f"{_rate(done):,.0f} events/s"
    typer.echo(f"{events} in {count(done.transactions, 'transaction')}: {orders}{back}{planted} ({rate})")


def refused(rejects: list[Reject], rows: int, orders: int, where: str) -> None:
    """The first unreadable rows, and how many there are."""
    for reject in rejects:
        lines = f"line {reject.line}" if reject.line == reject.last_line else f"lines {reject.line}-{reject.last_line}"
        note(f"{lines}: {reject.reason}")
    more = f", of which the first {len(rejects)} are above" if rows > len(rejects) else ""
    left_out = count(orders, "order is", "orders are")
    note(f"{count(rows, 'row')} rejected{more}; {left_out} left out with {'it' if rows == 1 else 'them'}; see {where}")


def dry_run(found: Preview, labels: tuple[Label, ...], currency: str) -> None:
    """The first events as a table, and the totals."""
    table = Table(title="The first events", title_justify="left")
    for name in ("event_time", "event_type", "order_id", "customer_id"):
        table.add_column(name, overflow="fold")
    for name in ("lines", "total"):
        table.add_column(name, justify="right")
    for row in found.first_events:
        total = show(row.total_cents, Unit.CENTS, currency)
        table.add_row(row.event_time, row.event_type, row.order_id, row.customer_id or "–", str(row.lines), total)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    console.print(table)
    for text in (*_totals(found, currency), *_planted(labels, currency), "nothing was sent: this was a dry run"):
        typer.echo(text)


def _totals(found: Preview, currency: str) -> Iterator[str]:
    yield (
        f"{count(found.orders, 'order')} with {count(found.lines, 'line')} and {count(found.units, 'unit')}, "
        f"revenue {show(found.revenue_cents, Unit.CENTS, currency)}, of {count(found.customers, 'customer')}"
    )
    if found.cancellations:
        back = show(found.cancelled_cents, Unit.CENTS, currency)
        yield f"{count(found.cancellations, 'cancellation, which takes', 'cancellations, which take')} back {back}"
    yield f"from {found.first_event_time} to {found.last_event_time}"
    if found.without_customer:
        events = count(found.without_customer, "event names", "events name")
        yield f"{events} no customer and will go to quarantine (MISSING_CUSTOMER_ID)"
    if found.not_above_zero:
        orders = count(found.not_above_zero, "order is", "orders are")
        yield f"{orders} not above 0 and will go to quarantine (INVALID_TOTAL_AMOUNT)"
    if found.cancellations_not_above_zero:
        back = count(found.cancellations_not_above_zero, "cancellation takes", "cancellations take")
        yield (
            f"{back} back nothing and will go to quarantine: "
            "does the file write them with the sign that cancellation.amounts says?"
        )


def _planted(labels: tuple[Label, ...], currency: str) -> Iterator[str]:
    if not labels:
        return
    yield "faults: " + ", ".join(f"{count} {kind}" for kind, count in by_kind(labels).items())
    for day, cents in revenue_difference(labels).items():
        if cents:
            yield f"{day}: batch - speed in revenue will be {show(cents, Unit.CENTS, currency)}"


def as_json(**content: object) -> None:
    """One JSON object on standard output."""
    typer.echo(documents.text(content, indent=None))
