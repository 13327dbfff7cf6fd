"""``tandem replay``: real orders, or a user's own, into Kafka."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from threading import Event
from typing import Annotated

import msgspec
import typer

from tandem import clock, database
from tandem.amounts import count
from tandem.errors import TandemError
from tandem.settings import Settings, settings
from tandem.sources import show
from tandem.sources.completejourney import NAME, completejourney
from tandem.sources.faults import FaultPlan, load_faults
from tandem.sources.labels import by_kind, write_labels
from tandem.sources.lines import Source, span
from tandem.sources.mapping import load_mapping
from tandem.sources.own_data import OwnData, open_file
from tandem.sources.planning import plan_replay
from tandem.sources.preview import preview
from tandem.sources.producer import ReplayProducer, produce

INTERRUPTED = 130
_SHOWN_REJECTS = 20
_DAY = ["%Y-%m-%d"]


def replay(  # noqa: PLR0917 - Typer's options, which are given by name
    source: Annotated[str, typer.Argument(help="'completejourney', or a CSV or Parquet file.")],
    first: Annotated[datetime | None, typer.Option("--from", formats=_DAY, help="First business date.")] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=_DAY, help="Last business date, included.")] = None,
    rate: Annotated[str, typer.Option(metavar="N|max", help="Events a second.")] = "max",
    faults: Annotated[Path | None, typer.Option(help="Plant the faults of this TOML file (docs/faults.md).")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Where to write what was planted; beside the faults file if left out.")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="How a file becomes orders, TOML (docs/bring-your-own-data.md).")
    ] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Where to write unreadable rows; beside the labels or the file if left out.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Send nothing if a row is unreadable.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Show the first orders and totals, write unreadable rows to --rejects; send nothing."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Send orders to Kafka by event time, in transactions that are visible whole or not at all.

    The same orders have the same event ids every time, so replaying them again adds nothing to the books. Without
    `--from` and `--to`, all dates are sent. Ctrl-C stops after the last whole transaction, with exit status 130.

    Example: `tandem replay completejourney --from 2017-12-21 --to 2017-12-23`, or
    `tandem replay examples/shop.csv --mapping examples/shop.toml --dry-run`
    """
    order = ReplayOrder(
        source=source,
        mapping=mapping,
        first=first.date() if first else None,
        last=last.date() if last else None,
        rate=_pace(rate),
        faults=load_faults(faults) if faults else None,
        labels=labels or (faults.with_suffix(".labels.jsonl") if faults else None),
        rejects=rejects,
        strict=strict,
        as_json=as_json,
    )
    config = settings()
    with order.opened(config) as orders:
        if dry_run:
            order.preview(orders, config)
        else:
            # A time without a zone, and an amount without a currency, are taken for the business's.
            database.require_same_books(config)
            order.send(orders, config)


@dataclass(frozen=True, slots=True)
class ReplayOrder:
    """What was asked for on the command line."""

    source: str
    mapping: Path | None
    first: date | None
    last: date | None
    rate: float | None
    faults: FaultPlan | None
    labels: Path | None
    rejects: Path | None
    strict: bool
    as_json: bool

    @contextmanager
    def opened(self, config: Settings) -> Iterator[Source]:
        """The source, ready to be read. Raises TandemError where it has nothing to send."""
        if self.first and self.last and self.first > self.last:
            raise TandemError(f"--from {self.first} is after --to {self.last}", "swap them")
        if self.source == NAME:
            if self.mapping:
                raise TandemError(f"'{NAME}' needs no mapping", "leave --mapping out")
            orders: Source = completejourney(self.first, self.last, config)
            yield self._not_empty(orders, completejourney(None, None, config), config)
            return
        if self.mapping is None:
            raise TandemError(
                f"how {self.source} becomes orders is not said",
                f"give --mapping FILE.toml (docs/bring-your-own-data.md), or use '{NAME}'",
            )
        mapping = load_mapping(self.mapping)
        with ExitStack() as stack:
            with show.working(f"reading {self.source}"):
                own = stack.enter_context(open_file(Path(self.source), mapping, self.first, self.last, config))
            self._report(own)
            yield self._not_empty(own, own.whole(), config)

    def preview(self, orders: Source, config: Settings) -> None:
        """Show what would be sent."""
        with show.working("counting"):
            found = preview(orders)
            labels = plan_replay(orders, config, self.faults).labels
        if self.as_json:
            show.as_json(**msgspec.structs.asdict(found), faults=by_kind(labels), **self._rejected(orders))
        else:
            show.dry_run(found, labels, config.currency)

    def send(self, orders: Source, config: Settings) -> None:
        """Write the labels, then send. Exits with INTERRUPTED after Ctrl-C."""
        producer = ReplayProducer(config, orders.name)
        with show.working("planning"):
            plan = plan_replay(orders, config, self.faults, producer.partitions)
        if self.labels and plan.labels:
            write_labels(plan.labels, self.labels)
        with _stop_on_interrupt() as stop, show.sending(plan.size) as on_progress:
            done = produce(plan, producer, rate=self.rate, on_progress=on_progress, stop=stop)
        if self.as_json:
            labels = str(self.labels) if plan.labels else None
            planted = {"faults": by_kind(plan.labels), "labels": labels}
            show.as_json(source=orders.name, **asdict(done), **planted, **self._rejected(orders))
        else:
            show.sent(done, config.currency)
            if plan.labels:
                show.note(f"{count(len(plan.labels), 'fault')} planted; what to expect of each is in {self.labels}")
        if done.interrupted:
            raise typer.Exit(INTERRUPTED)

    def _not_empty(self, orders: Source, whole: Source, config: Settings) -> Source:
        """The source itself. Raises TandemError with the dates of the ``whole`` where the chosen ones have nothing."""
        if orders.size() == 0:
            days = " to ".join(str(day) for day in (self.first, self.last) if day)
            there = [str(clock.business_date(end, config.zone)) for end in span(whole)]
            remedy = f"it has those of {' to '.join(there)}" if there else "send another file"
            raise TandemError(f"{self.source} has no orders of {days or 'any date'}", remedy)
        return orders

    def _report(self, orders: OwnData) -> None:
        rows, whole = orders.rejected
        if not rows:
            return
        orders.write_rejects(self._rejects_path)
        show.refused(orders.rejects(_SHOWN_REJECTS), rows, whole, str(self._rejects_path))
        if self.strict:
            raise TandemError(
                f"{count(rows, 'row is', 'rows are')} unreadable and --strict is given; nothing was sent",
                f"mend them: {self._rejects_path} says what is wrong",
            )

    @property
    def _rejects_path(self) -> Path:
        return self.rejects or (self.labels or Path(self.source)).with_suffix(".rejects.csv")

    def _rejected(self, orders: Source) -> dict[str, object]:
        rows, whole = orders.rejected if isinstance(orders, OwnData) else (0, 0)
        return {
            "rejected_rows": rows,
            "rejected_orders": whole,
            "rejects": str(self._rejects_path) if rows else None,
        }


def _pace(rate: str) -> float | None:
    if rate == "max":
        return None
    try:
        pace = float(rate)
    except ValueError:
        pace = 0.0
    if not (pace > 0 and math.isfinite(pace)):
        raise TandemError(f"--rate {rate} is neither 'max' nor a number of events a second", "give 50, for example")
    return pace


@contextmanager
def _stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C end the replay between two transactions."""
    stop = Event()
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield stop.is_set
    finally:
        signal.signal(signal.SIGINT, before)
