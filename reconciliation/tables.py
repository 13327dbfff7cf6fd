"""A report's tables and lines as texts, for every form in which it is rendered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from reconciliation import wording
from reconciliation.agreement import Agreement, Subject
from reconciliation.compare import Verdict
from reconciliation.corrections import Correction
from reconciliation.report import CauseTotal, Certified, DayInTrend, DifferingEvent, Figure, Report, State
from tandem import clock
from tandem.amounts import count, show, show_change
from tandem.kpis import Unit


@dataclass(frozen=True, slots=True)
class Tile:
    """One of the three figures on top."""

    label: str
    value: str
    note: str


def percent(value: float | None) -> str:
    """A difference in percent."""
    return "–" if value is None else f"{value:+.2f} %" if value else "0"


def limit(figure: Figure, currency: str) -> str:
    """What a figure may be off by; one that is too small decides nothing, and one without a side has no limit."""
    if figure.difference is None or figure.allowed is None:
        return "–"
    return f"± {show(figure.allowed, figure.unit, currency)}" if figure.decides else "shown only"


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as text in columns, the first flush left and the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def total(causes: Iterable[CauseTotal], name: str) -> int:
    """What all causes together add to a figure."""
    return sum(cause.amounts.get(name, 0) for cause in causes)


def tiles(report: Report) -> tuple[Tile, ...]:
    """The three figures on top."""
    currency = report.currency
    if report.state is State.NOT_PUBLISHED:
        failed = Tile("Checks failed", f"{len(report.failed_gates)}", f"of {len(report.gates)}")
        return Tile("Revenue", "–", "not published"), Tile("Orders", "–", "not published"), failed
    revenue, orders = report.figure("revenue_cents"), report.figure("order_count")
    return (
        Tile("Revenue", show(revenue.batch, Unit.CENTS, currency), _other_side(revenue, currency)),
        Tile("Orders", show(orders.batch, Unit.COUNT, currency), _other_side(orders, currency)),
        _difference_tile(report),
    )


def _other_side(figure: Figure, currency: str) -> str:
    """What the stream had, below the batch layer's figure."""
    if figure.counted is None:
        return "batch layer"
    return f"the stream counted {show(figure.counted, figure.unit, currency)}"


def _difference_tile(report: Report) -> Tile:
    label, worst = "Largest difference", report.worst
    if report.state is State.NOT_COMPARED:
        return Tile(label, "–", "not compared")
    if worst is None:
        return Tile(label, "0", "every figure is equal")
    off = show_change(worst.difference, worst.unit, report.currency)
    now = worst.difference_now
    then = f", now {show_change(now, worst.unit, report.currency)}" if now not in {None, worst.difference} else ""
    if worst.percent is None:
        return Tile(label, off, f"{worst.label}{then}")
    return Tile(label, percent(worst.percent), f"{worst.label} {off}{then}")


def corrections_in_words(report: Report) -> str:
    """How many corrections there are, and where they stand."""
    found = report.corrections
    said = [f"{found.sent:,} sent, {found.applied:,} applied by the stream" if found.sent else ""]
    said.append(f"{found.waiting:,} wait for approval" if found.waiting else "")
    said.append(f"{found.reversed} of them take an earlier one back" if found.reversed else "")
    return ", ".join(filter(None, said)) + "."


def gates_in_words(report: Report) -> str:
    """How many checks of the batch run passed."""
    passed = sum(gate.success for gate in report.gates)
    return f"{passed} of {len(report.gates)} checks passed."


def footer(report: Report) -> tuple[str, ...]:
    """What makes the report repeatable: run, versions, cut, hashes of both books."""
    compared = (
        f"Compared {report.compared_at.astimezone(ZoneInfo(report.timezone)):%Y-%m-%d %H:%M:%S} {report.timezone}"
    )
    lines = [f"{compared}, reconciliation {report.reconciliation_id}."]
    if report.run is not None:
        run = report.run
        versions = f"rules {run.rule_version}, code {run.code_version}, archive {run.archive_version}"
        lines.append(f"Batch run {run.run_id}, version {run.version}, {versions}, facts {run.facts_version}.")
        if run.cut_taken_at is not None and run.records is not None:
            taken = run.cut_taken_at.astimezone(ZoneInfo(report.timezone))
            lines.append(f"Cut {taken:%Y-%m-%d %H:%M:%S}, {count(run.records, 'record')} below it.")
    if report.cells_compared:
        equal = report.cells_compared - report.cells_differing
        lines.append(f"{equal:,} of {report.cells_compared:,} cells (figure × hour × product or category) were equal.")
        lines.append(f"Books as compared: stream {report.speed_hash[:16]}, batch {report.batch_hash[:16]}.")
    if report.certificate is not None:
        lines.append(_certified(report.certificate, report.business_date))
    return tuple(lines)


def _certified(certificate: Certified, business_date: date) -> str:
    stream, batch = certificate.speed_sha256[:16], certificate.batch_sha256[:16]
    books = f"both books are {batch}" if stream == batch else f"stream {stream}, batch {batch}"
    after = f" after {count(certificate.corrections, 'correction')}" if certificate.corrections else ""
    check = f"tandem verify --date {business_date}"
    return f"Certificate {certificate.sha256[:16]}: {books}{after}. To check it: {check}"


def figure_rows(report: Report) -> list[list[str]]:
    """Figure × batch × stream × difference × % × limit."""
    rows = [
        [
            figure.label,
            show(figure.batch, figure.unit, report.currency),
            show(figure.speed, figure.unit, report.currency),
            show_change(figure.difference, figure.unit, report.currency),
            percent(figure.percent),
            limit(figure, report.currency),
        ]
        for figure in report.figures
    ]
    return [["figure", "batch", "stream", "difference", "%", "limit"], *rows]


def cause_rows(causes: Sequence[CauseTotal], events_total: int, currency: str) -> list[list[str]]:
    """What each cause adds, and the sum."""
    shown = (("order_count", Unit.COUNT), ("revenue_cents", Unit.CENTS), ("unique_customers", Unit.COUNT))
    rows = [["cause", "events", "orders", "revenue", "customers"]]
    rows += [
        [
            f"{line.cause.replace('_', ' ')} ({wording.CAUSES[line.cause]})",
            str(line.events),
            *(show_change(line.amounts.get(name, 0), unit, currency) for name, unit in shown),
        ]
        for line in causes
    ]
    sums = [show_change(total(causes, name), unit, currency) for name, unit in shown]
    return [*rows, ["batch - stream as counted", str(events_total), *sums]]


def correction_rows(report: Report) -> list[list[str]]:
    """What corrections did to each figure."""
    rows = [["figure", "stream as counted", "corrected by", "stream now", "difference now"]]
    for figure in report.figures:
        if figure.counted != figure.speed_now:
            by = (figure.speed_now or 0) - (figure.counted or 0)
            rows.append(
                [
                    figure.label,
                    show(figure.counted, figure.unit, report.currency),
                    show_change(by, figure.unit, report.currency),
                    show(figure.speed_now, figure.unit, report.currency),
                    show_change(figure.difference_now, figure.unit, report.currency),
                ]
            )
    return rows


AGREEMENT_CAPTION = (
    "Products as both layers show them now; equal ones share a rank, so there may be more of them. Customers and"
    " distinct counts as they were counted: corrections do not change them. This decides nothing."
)


def agreement_in_words(report: Report) -> str:
    """Where nothing is off: what was held against each other, in one sentence; '' where a table says more."""
    if not report.agreement or any(one.alike < one.compared or one.apart for one in report.agreement):
        return ""
    tops = " and ".join(str(top) for top in sorted({one.top for one in report.agreement if one.top}))
    customers = max((one.compared for one in report.agreement if one.subject is Subject.CUSTOMERS), default=0)
    distincts = ""
    if any(one.subject is Subject.DISTINCTS for one in report.agreement):
        distincts = ", and so is how many different customers and products came in each hour"
    return (
        f"The first {tops} products by net revenue, by net units and by orders are the same in both, in the same order;"
        f" so is what each of {customers:,} customers came to{distincts}."
    )


def agreement_rows(report: Report) -> list[list[str]]:
    """How far the layers agree on rankings, on each customer and on distinct counts, with its head."""
    rows = [
        [_of_what(one), f"{one.alike:,} of {one.compared:,}", _apart(one), one.status.value] for one in report.agreement
    ]
    return [["", "alike", "apart", ""], *rows]


_NET = {"revenue": "net revenue", "units": "net units"}
_LEAST_SHOWN = 0.001


def _of_what(one: Agreement) -> str:
    match one.subject:
        case Subject.PRODUCTS:
            return f"first {one.top} products by {_NET.get(one.measure, one.measure)}"
        case Subject.CUSTOMERS:
            return f"{one.measure} of each customer"
        case Subject.DISTINCTS:
            counted, _, key = one.measure.partition(" by ")
            return f"different {counted} by hour and {key}"


def _apart(one: Agreement) -> str:
    if one.apart is None:
        return "–"
    if one.subject is not Subject.DISTINCTS:
        return f"{one.apart:.1f} ranks"
    return "< 0.1 %" if 0 < one.apart < _LEAST_SHOWN else f"{100 * one.apart:.1f} %"


def trend_rows(report: Report) -> list[list[str]]:
    """The chart as a table."""
    rows = [["date", "revenue as counted", "with corrections", "verdict"]]
    return rows + [
        [str(day.business_date), f"{day.counted_percent:+.2f} %", f"{day.now_percent:+.2f} %", _verdict(day)]
        for day in report.trend
    ]


def _verdict(day: DayInTrend) -> str:
    """As it was compared, except where corrections have made both layers agree since."""
    made_equal = day.verdict is Verdict.MISMATCH and day.counted_percent and not day.now_percent
    return "corrected" if made_equal else day.verdict.value


def event_line(event: DifferingEvent, currency: str, zone: ZoneInfo) -> str:
    """One differing event in a few lines, its time on the clock of the business."""
    change = show_change(event.batch_cents - event.speed_cents, Unit.CENTS, currency)
    when = "no time" if event.event_time is None else clock.shown(event.event_time, zone)
    return (
        f"{event.order_id or 'no order id'}  {event.event_type or 'no type'}, {when},"
        f" partition {event.partition}, offset {event.offset}\n"
        f"  {event.cause}: {change}  stream: {event.speed_decision}, batch: {event.batch_decision}\n"
        f"  {event.evidence}"
    )


def kept_correction_rows(found: Sequence[Correction], zone: ZoneInfo) -> list[list[str]]:
    """Corrections as rows of a table, their cells on the clock of the business."""
    rows = [["correction", "cell", "measure", "stream", "batch", "delta", "status"]]
    for c in found:
        cell = f"{c.cube} {c.cell_start.astimezone(zone):%Y-%m-%d %H:%M %Z} {c.key}".rstrip()
        status = "applied" if c.applied_at else c.status.replace("_", " ")
        amounts = [f"{c.stream_value:,}", f"{c.batch_value:,}", f"{c.delta:+,}"]
        rows.append([c.correction_id, cell, c.measure, *amounts, status + (" (reversal)" if c.reverses else "")])
    return rows
