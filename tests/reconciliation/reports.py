"""Reports by hand, in figures of a shop's day."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from reconciliation.agreement import Agreement, Subject
from reconciliation.compare import Status, Verdict
from reconciliation.digest import Digest
from reconciliation.explain import Cause
from reconciliation.report import (
    Bias,
    BiasKind,
    CauseTotal,
    Certified,
    Corrections,
    DayInTrend,
    DifferingEvent,
    Figure,
    Gate,
    Grace,
    Incident,
    Lateness,
    Report,
    Run,
    Serving,
)
from reconciliation.summary import Failure, Summary
from tandem.kpis import Unit
from tandem.recipients import Severity
from tests.reconciliation.books import DAY, at

CENTS, COUNT = Unit.CENTS, Unit.COUNT


def figure(
    name: str,
    batch: int | None,
    counted: int | None,
    *,
    now: int | None = None,
    unit: Unit = CENTS,
    decides: bool = True,
) -> Figure:
    """A KPI with a tolerance of 1 %; ``now`` where it was corrected after the comparison."""
    allowed = None if batch is None else abs(batch) // 100
    status = Status.MISMATCH
    if batch is None or counted is None:
        status = Status.MISSING_IN_BATCH if batch is None else Status.MISSING_IN_SPEED
    elif abs(batch - counted) <= (allowed or 0):
        status = Status.MATCH
    label = name.removesuffix("_cents").replace("_", " ")
    return Figure(name, label, unit, batch, counted, counted, counted if now is None else now, allowed, status, decides)


def figures(*, corrected: bool) -> tuple[Figure, ...]:
    """Batch has three late orders that the stream has not, and lacks a repeated one that the stream counted."""

    def now(batch: int) -> int | None:
        return batch if corrected else None

    return (
        figure("order_count", 606, 604, now=now(606), unit=COUNT),
        figure("revenue_cents", 2_499_447, 2_395_327, now=now(2_499_447)),
        figure("cancelled_revenue_cents", 12_450, 12_450, decides=False),
        figure("amended_revenue_cents", -1_200, -1_200, decides=False),
        figure("net_revenue_cents", 2_485_797, 2_381_677, now=now(2_485_797)),
        figure("avg_order_value_cents", 4_125, 3_966, now=now(4_125)),
        figure("unique_customers", 470, 468, now=now(470), unit=COUNT),
        figure("units", 5_911, 5_640, now=now(5_911), unit=COUNT),
    )


CAUSES = (
    CauseTotal(
        Cause.DUPLICATE,
        1,
        {"order_count": -1, "revenue_cents": -5_880, "units": -12},
    ),
    CauseTotal(
        Cause.LATE,
        3,
        {"order_count": 3, "revenue_cents": 110_000, "units": 283, "unique_customers": 2},
    ),
)


def event(number: int, cause: Cause, cents: int, evidence: str, order_id: str) -> DifferingEvent:
    booked = {
        Cause.LATE: (0, cents, "late", "counted"),
        Cause.DUPLICATE: (cents, 0, "counted", "duplicate"),
        Cause.MISSING_IN_BATCH: (cents, 0, "counted", ""),
    }
    speed_cents, batch_cents, speed, batch = booked[cause]
    when = at(9 + number, 15)
    return DifferingEvent(
        number, 100 + number, "order_created", order_id, when, speed, batch, speed_cents, batch_cents, cause, evidence
    )


def late(minutes: int, hour: int) -> str:
    seen = at(hour, 15) + timedelta(minutes=minutes)
    return f"{minutes} min behind: 2017-12-23 {hour:02d}:15:00, when the partition was at {seen:%Y-%m-%d %H:%M:%S} UTC"


EVENTS = (
    event(1, Cause.LATE, 71_250, late(187, 10), "41382910"),
    event(4, Cause.LATE, 30_500, late(94, 13), "41383377"),
    event(2, Cause.LATE, 8_250, late(61, 11), "41382999"),
    event(
        7, Cause.DUPLICATE, 5_880, "the batch layer had counted the order before: partition 7, offset 88", "41380075"
    ),
)


def agreement(subject: Subject, measure: str, top: int, *counts: int, apart: float | None = None) -> Agreement:
    compared, alike = counts
    return Agreement(subject, measure, top, compared, alike, apart, Status.MATCH)


ALIKE = (
    *(
        agreement(Subject.PRODUCTS, measure, top, top, top, apart=0.0)
        for measure in ("revenue", "units", "orders")
        for top in (10, 100)
    ),
    *(agreement(Subject.CUSTOMERS, measure, 0, 470, 470) for measure in ("revenue", "orders")),
    agreement(Subject.DISTINCTS, "customers by category", 0, 1_710, 1_710, apart=0.0),
    agreement(Subject.DISTINCTS, "products by category", 0, 1_710, 1_710, apart=0.0),
)
APART = (
    agreement(Subject.PRODUCTS, "revenue", 10, 10, 9, apart=0.4),
    agreement(Subject.PRODUCTS, "revenue", 100, 100, 97, apart=2.25),
    agreement(Subject.PRODUCTS, "units", 10, 10, 10, apart=0.0),
    agreement(Subject.PRODUCTS, "units", 100, 101, 99, apart=1.5),
    agreement(Subject.PRODUCTS, "orders", 10, 12, 12, apart=0.0),
    agreement(Subject.PRODUCTS, "orders", 100, 117, 115, apart=0.71),
    agreement(Subject.CUSTOMERS, "revenue", 0, 470, 466),
    agreement(Subject.CUSTOMERS, "orders", 0, 470, 466),
    agreement(Subject.DISTINCTS, "customers by category", 0, 1_710, 1_688, apart=0.0091),
    agreement(Subject.DISTINCTS, "products by category", 0, 1_710, 1_686, apart=0.0098),
)
_CORRECTED_ON = {0: 4.17, 5: 1.94, 22: -1.31}
_WITHIN = (0.0, 0.31, -0.22, 0.48, 0.12, -0.64, 0.25)
TREND = tuple(
    DayInTrend(
        DAY - timedelta(days=back),
        _CORRECTED_ON.get(back, _WITHIN[back % 7]),
        0.0 if back in _CORRECTED_ON else _WITHIN[back % 7],
        Verdict.MISMATCH if back in _CORRECTED_ON else Verdict.MATCH,
    )
    for back in reversed(range(30))
)
NIGHT = datetime(2017, 12, 24, 2, 4, 31, tzinfo=UTC)

CORRECTED = Report(
    business_date=DAY,
    reconciliation_id=17,
    verdict=Verdict.MISMATCH,
    reason="",
    remedy="",
    compared_at=NIGHT,
    currency="USD",
    timezone="UTC",
    figures=figures(corrected=True),
    causes=CAUSES,
    events=EVENTS,
    events_total=4,
    cells_compared=38_214,
    cells_differing=214,
    speed_hash="3b1f" * 16,
    batch_hash="9e07" * 16,
    certificate=Certified("77aa" * 16, "9e07" * 16, "9e07" * 16, 214),
    corrections=Corrections(sent=214, applied=214, waiting=0, reversed=0),
    gates=(
        Gate("every order has a customer", "fail", success=True, observed=""),
        Gate("order ids are unique", "fail", success=True, observed=""),
        Gate("revenue is near the usual", "warn", success=False, observed="24994.47, usually 12592 ± 5000"),
    ),
    run=Run(
        "2017-12-23.20171224T020000Z.ab12cd",
        2,
        NIGHT - timedelta(seconds=40),
        "1",
        "0.1.0",
        31,
        7,
        NIGHT - timedelta(minutes=4),
        1_318,
    ),
    serving=Serving("certified", "batch", 2, ""),
    trend=TREND,
    bias=(),
    agreement=APART,
    lateness=Lateness(
        7,
        60,
        180,
        (
            Grace(30, -4, -9_000, -7.9),
            Grace(60, 0, 0, 0.0),
            Grace(180, 2, 105_000, 90.6),
            Grace(1440, 3, 110_000, 95.0),
        ),
    ),
    link="http://127.0.0.1:18080/dags/nightly",
    gates_link="http://127.0.0.1:18025/gates/2017-12-23.20171224T020000Z.ab12cd",
)
WAITING = replace(
    CORRECTED,
    figures=figures(corrected=False),
    causes=(
        *CAUSES[:1],
        CauseTotal(Cause.MISSING_IN_BATCH, 2, {"order_count": -2, "revenue_cents": -9_100, "units": -20}),
        CauseTotal(
            Cause.UNEXPLAINED, 0, {"order_count": 5, "revenue_cents": 119_100, "units": 303, "unique_customers": 2}
        ),
    ),
    events=(
        event(5, Cause.MISSING_IN_BATCH, 6_000, "the archive has nothing at partition 5, offset 105", "41381166"),
        EVENTS[3],
        event(6, Cause.MISSING_IN_BATCH, 3_100, "the archive has nothing at partition 6, offset 106", "41381204"),
    ),
    events_total=3,
    trend=(*TREND[:-1], replace(TREND[-1], now_percent=TREND[-1].counted_percent)),
    certificate=Certified("51c2" * 16, "3b1f" * 16, "9e07" * 16, 0),
    corrections=Corrections(sent=0, applied=0, waiting=214, reversed=0),
    gates=(Gate("order ids are unique", "fail", success=False, observed="2 repeated"), *CORRECTED.gates[:1]),
)
_SHORT = tuple(
    replace(day, counted_percent=abs(day.counted_percent), now_percent=abs(day.now_percent)) for day in TREND[:-1]
)
_SHORT_ON = sum(day.counted_percent > 0 for day in _SHORT)
WITHIN = replace(
    CORRECTED,
    verdict=Verdict.MATCH,
    figures=(
        figure("order_count", 606, 605, unit=COUNT),
        figure("revenue_cents", 2_499_447, 2_491_197),
        *CORRECTED.figures[2:4],
        figure("net_revenue_cents", 2_485_797, 2_477_547),
        figure("avg_order_value_cents", 4_125, 4_118),
        figure("unique_customers", 470, 470, unit=COUNT),
        figure("units", 5_911, 5_889, unit=COUNT),
    ),
    causes=(CauseTotal(Cause.LATE, 1, {"order_count": 1, "revenue_cents": 8_250, "units": 22}),),
    events=EVENTS[2:3],
    events_total=1,
    cells_differing=9,
    agreement=(*ALIKE[:6], *(replace(one, alike=469) for one in ALIKE[6:8]), *ALIKE[8:]),
    lateness=Lateness(7, 60, 60, (Grace(30, -2, -9_000, -109.1), Grace(60, 0, 0, 0.0), Grace(1440, 0, 0, 0.0))),
    certificate=Certified("0d4e" * 16, "3b1f" * 16, "9e07" * 16, 0),
    corrections=Corrections(0, 0, 0, 0),
    trend=_SHORT,
    bias=(
        Bias(
            "revenue_cents",
            "revenue",
            BiasKind.ONE_SIDE,
            True,
            DAY - timedelta(days=28),
            _SHORT_ON,
            _SHORT_ON,
            0.31,
            2.0 ** (1 - _SHORT_ON),
        ),
        Bias("units", "units", BiasKind.TRENDING, True, DAY - timedelta(days=29), 30, 21, 0.012, 0.0004),
    ),
)
EQUAL = replace(
    WITHIN,
    figures=tuple(
        replace(f, counted=f.batch, speed=f.batch, speed_now=f.batch, status=Status.MATCH) for f in WITHIN.figures
    ),
    causes=(),
    events=(),
    events_total=0,
    cells_differing=0,
    agreement=ALIKE,
    bias=(),
    speed_hash=WITHIN.batch_hash,
    certificate=Certified("e8b1" * 16, "9e07" * 16, "9e07" * 16, 0),
)
NOT_COMPARED = replace(
    EQUAL,
    verdict=Verdict.NOT_COMPARABLE,
    reason="the speed layer was 1,204 records behind Kafka",
    remedy="when 'tandem stream' has caught up, run the date in Airflow, or: tandem batch --date 2017-12-23",
    figures=tuple(
        replace(f, counted=None, speed=None, speed_now=None, status=Status.NOT_COMPARABLE, decides=False)
        for f in EQUAL.figures
    ),
    cells_compared=0,
    agreement=(),
    certificate=None,
)
NOT_PUBLISHED = replace(
    NOT_COMPARED,
    reason="no batch run of 2017-12-23 is published",
    remedy="run the date in Airflow, or: tandem batch --date 2017-12-23",
    figures=tuple(replace(f, batch=None, allowed=None) for f in NOT_COMPARED.figures),
    gates=(
        Gate("order ids are unique", "fail", success=False, observed="2 of 606 rows, first at partition:offset 3:1201"),
        *CORRECTED.gates[:1],
    ),
    run=None,
    serving=Serving("failed", None, None, "the gates failed: order ids are unique"),
    speed_hash="",
    batch_hash="",
)
HOSTILE = replace(
    CORRECTED,
    events=(
        replace(
            EVENTS[0],
            order_id='<script>alert("order")</script>',
            event_type="<img src=x onerror=alert(1)>",
            evidence="</td></table><a href='javascript:alert(2)'>click</a>",
        ),
    ),
    events_total=1,
    gates=(Gate("<b>bold</b>", "fail", success=False, observed="{{ 7 * 7 }} & \x07"),),
)
EVERY = {
    "corrected": CORRECTED,
    "waiting": WAITING,
    "within": WITHIN,
    "equal": EQUAL,
    "not_compared": NOT_COMPARED,
    "not_published": NOT_PUBLISHED,
    "hostile": HOSTILE,
}


def on(day: date, report: Report) -> Report:
    """The same report of another date."""
    return replace(report, business_date=day)


def before(days: int, report: Report) -> Report:
    """The same report so many days earlier."""
    return on(DAY - timedelta(days=days), report)


DIGEST = Digest(
    first=DAY - timedelta(days=6),
    last=DAY,
    currency="USD",
    timezone="UTC",
    summary=Summary(
        (
            before(6, EQUAL),
            before(5, WITHIN),
            before(4, replace(NOT_COMPARED, trend=())),
            before(3, EQUAL),
            before(1, WAITING),
            CORRECTED,
        ),
        (Failure(DAY - timedelta(days=2), "order_facts, gate"),),
        "http://127.0.0.1:18080/dags/nightly",
    ),
    incidents=(
        Incident("overdue:2017-12-21", Severity.CRITICAL, "2017-12-21 is overdue", NIGHT - timedelta(days=2)),
        Incident("bias:units", Severity.WARNING, "<b>over in units</b> by more and more", NIGHT - timedelta(days=1)),
    ),
)
"""A week in which everything happened once."""
