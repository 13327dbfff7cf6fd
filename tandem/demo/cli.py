"""``tandem demo``, which ``make demo`` runs."""

from __future__ import annotations

import os
import sys
from datetime import date

import typer
from rich.console import Console
from rich.table import Table

from tandem import clock, database, kpis, topics
from tandem.amounts import show
from tandem.demo import folder
from tandem.demo.progress import Progress
from tandem.demo.promises import Books, check, read_books, read_verdicts
from tandem.demo.scheduler import Scheduler, TaskEnd, log_of
from tandem.errors import TandemError
from tandem.local import airflow, mail, process
from tandem.local.cli import up
from tandem.serving import DailyKpis, Layer, read
from tandem.settings import PROJECT_ROOT, Settings, settings
from tandem.sources.labels import read_labels, revenue_difference

DAYS = tuple(clock.days(date(2017, 12, 21), date(2017, 12, 23)))
FAULTS = PROJECT_ROOT / "examples" / "faults-demo.toml"
LABELS = "demo-labels.jsonl"
SHOWN = (
    "order_count",
    "revenue_cents",
    "unique_customers",
    "units",
    "cancelled_revenue_cents",
    "amended_revenue_cents",
)
"""The KPIs of the table; all of them are checked."""
_RANGE = ("--from", DAYS[0].isoformat(), "--to", DAYS[-1].isoformat())


def demo() -> None:
    """Replay three days of real orders, some of them spoilt on purpose, through everything, and check what comes out.

    Starts all local parts in an empty state folder and leaves them running; `tandem down` stops them. Exit status 0
    only if everything that it claims held. Example: `tandem demo`.
    """
    own, progress = settings(), Progress()
    try:
        perform(own, progress)
    except KeyboardInterrupt:
        typer.echo("tandem: stopped; 'make demo' begins anew, 'make down' ends what runs", err=True)
        raise typer.Exit(130) from None


def perform(own: Settings, progress: Progress) -> None:
    """From an empty folder to the last claim. Raises TandemError where a step fails or a claim did not hold."""
    folder.reset(own)
    up()
    before = replay(own, progress)
    run_nights(own, progress)
    for day in DAYS:
        progress.run("reconcile", "--date", day.isoformat(), expected=(0, 1, 2))
    books, verdicts = read_books(own, before), read_verdicts(own, DAYS)
    planted = revenue_difference(read_labels(own.state_dir / LABELS))
    promises = list(check(own, books, verdicts, planted))
    show_books(own, books)
    for promise in promises:
        progress.say(f"{'held  ' if promise.held else 'BROKEN'}  {promise.claim} ({promise.found})")
    show_places(own)
    if broken := [promise for promise in promises if not promise.held]:
        log = process.log_path(own, broken[0].log)
        raise TandemError(f"it did not hold that {broken[0].claim} ({broken[0].found})", f"see {log}")
    progress.say("everything held")


def replay(own: Settings, progress: Progress) -> dict[date, DailyKpis]:
    """Send the orders and wait until both layers have them; returns what the speed layer has counted."""
    faults = ("--faults", os.path.relpath(FAULTS), "--labels", os.path.relpath(own.state_dir / LABELS))
    progress.run("replay", "completejourney", *_RANGE, *faults)
    wait_for_layers(own, progress)
    return {day: read(own, day, Layer.SPEED) for day in DAYS}


def wait_for_layers(own: Settings, progress: Progress) -> None:
    """Wait until the speed layer and the archive have everything that Kafka holds now."""
    from reconciliation import cut
    from stream import archive

    ends = cut.end_offsets(own)

    def left(reached: dict[int, int]) -> int:
        return sum(max(0, end - reached.get(partition, 0)) for partition, end in ends.items())

    progress.wait("speed layer", lambda: left(_speed_offsets(own)), timeout_s=120)
    progress.wait("archive", lambda: left(archive.next_offsets(own)), timeout_s=120)


def _speed_offsets(own: Settings) -> dict[int, int]:
    with database.connect(own, database.READER) as connection:
        found = connection.execute(database.queries("demo").speed_offsets, {"topic": topics.ORDER_EVENTS})
        return dict(found.fetchall())


def run_nights(own: Settings, progress: Progress) -> None:
    """Backfill the nightly run of every date through the scheduler. Raises TandemError where a run fails."""
    scheduler = Scheduler(own)
    scheduler.wait_for_dag("nightly")
    progress.say(f"backfill of nightly from {DAYS[0]} to {DAYS[-1]} through the scheduler; as a command, it would be:")
    progress.say(f"$ tandem airflow backfill create --dag-id nightly --from-date {DAYS[0]} --to-date {DAYS[-1]}")

    def told(end: TaskEnd) -> None:
        progress.say(f"{end.business_date}  {end.task:<16} {end.state:<8} {end.seconds:5.1f} s")
        if end.state == "failed":
            problem = f"task {end.task} of the nightly run of {end.business_date} failed"
            raise TandemError(problem, f"see {log_of(own, 'nightly', end)}")

    backfill = scheduler.backfill("nightly", DAYS[0], DAYS[-1])
    scheduler.follow("nightly", backfill, told, timeout_s=3600)


def show_books(own: Settings, books: dict[date, Books]) -> None:
    """The table: date, metric, speed before, batch, speed after."""
    table = Table(title="The books, before and after the night", title_justify="left")
    table.add_column("date")
    table.add_column("metric")
    for column in ("speed before", "batch", "speed after"):
        table.add_column(column, justify="right")
    shown = [kpi for kpi in kpis.KPIS if kpi.name in SHOWN]
    for day, three in books.items():
        for kpi in shown:
            values = [side.metrics[kpi.name] for side in (three.before, three.batch, three.after)]
            cells = [show(value, kpi.unit, own.currency) for value in values]
            style = "bold" if len(set(values)) > 1 else None
            label = day.isoformat() if kpi is shown[0] else ""
            table.add_row(label, kpi.name.removesuffix("_cents"), *cells, style=style, end_section=kpi is shown[-1])
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 100).print(table)


def show_places(own: Settings) -> None:
    """Where to look next, and how to stop."""
    password = own.state_dir / "secrets" / "airflow_admin"
    lines = (
        f"mails     {mail.page_address(own)}",
        f"Airflow   {airflow.address(own)}  user {airflow.USER}, password in {password}",
        "commands  source .venv/bin/activate puts tandem on your path",
        f"report    tandem report --date {DAYS[-1]}",
        f"causes    tandem explain --date {DAYS[-1]}",
        f"figures   tandem kpi --date {DAYS[-1]} --layer batch --json",
        "stop      make down",
    )
    print("\n".join(lines), flush=True)
