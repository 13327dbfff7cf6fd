"""tandem explain --metric --hour: the ledger's lines of a cell, whose sums are batch - stream there to the cent."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from reconciliation import reconcile
from reconciliation.breakdown import Breakdown, Cell, lines
from tandem import cli
from tandem.kpis import Unit
from tandem.settings import Settings
from tests.reconciliation.books import DAY, at, execute
from tests.reconciliation.decisions import Record, cells
from tests.reconciliation.scene import Applier, stage

pytestmark = pytest.mark.integration

LINES = (("milk", "dairy", 1, 300), ("tea", None, 2, 400))
LOG = [
    *[Record(n, order_id=f"o{n}", customer=f"c{n}", when=at(8 + n)) for n in range(6)],
    Record(20, order_id="late", customer="bob", cents=700, when=at(9, 30), speed="late", lines=LINES),
    Record(21, order_id="o3", customer="c3", when=at(9, 50), batch="duplicate"),
    Record(22, order_id="moved", customer="eve", cents=250, when=at(10, 59), batch_when=at(11, 1), lines=LINES),
    Record(
        23,
        order_id="o1",
        customer="c1",
        event_type="order_cancelled",
        cents=400,
        when=at(9, 10),
        speed="quarantined",
        lines=LINES[:1],
    ),
]
NET = {"revenue_cents": 1, "amended_revenue_cents": 1, "cancelled_revenue_cents": -1}


@pytest.fixture
def shop(topic_prefix: Settings, clean_database: Settings) -> Settings:
    stage(topic_prefix, LOG, gates=False)
    reconcile.run(topic_prefix, DAY, apply_timeout=timedelta(0))
    return topic_prefix


def invoke(*options: str) -> Any:
    return CliRunner().invoke(cli.app, ["explain", "--date", str(DAY), *options])


def shown(*options: str) -> dict[str, Any]:
    done = invoke("--json", *options)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def by_hand(
    cube: str, metric: str, factors: dict[str, int], hour: int | None = None
) -> dict[tuple[str, str, str], int]:
    """Batch - stream per metric, hour and key, added up by plain loops over the log."""
    sums: Counter[tuple[str, str, str]] = Counter()
    for layer, sign in (("batch", 1), ("speed", -1)):
        for found, start, key, measure, value in cells(LOG, layer).iter_rows():
            if found == cube and measure in factors and (hour is None or start.hour == hour):
                sums[metric, start.isoformat(), key] += sign * factors[measure] * value
    return {place: amount for place, amount in sums.items() if amount}


def differences(document: dict[str, Any]) -> dict[tuple[str, str, str], int]:
    found = {}
    for cell in document["cells"]:
        assert cell["batch"] - cell["counted"] == cell["difference"] == sum(line["amount"] for line in cell["lines"])
        start = datetime.fromisoformat(cell["cell_start"]).isoformat()
        if cell["difference"]:
            found[cell["metric"], start, cell["key"]] = cell["difference"]
    return found


@pytest.mark.parametrize("hour", [None, 9, 10, 11, 15])
@pytest.mark.parametrize(("by", "cube"), [("hours", "orders"), ("products", "products"), ("categories", "categories")])
def test_the_lines_of_each_cell_sum_to_batch_minus_stream(shop: Settings, hour: int | None, by: str, cube: str) -> None:
    options = [] if hour is None else ["--hour", str(hour)]
    for metric, factors in {"revenue": {"revenue_cents": 1}, "units": {"units": 1}, "net_revenue": NET}.items():
        name = metric if metric == "units" else f"{metric}_cents"
        found = shown("--metric", metric, "--by", by, *options)
        assert differences(found) == by_hand(cube, name, factors, hour)


def test_a_cell_names_its_causes_the_largest_first_and_its_events(shop: Settings) -> None:
    found = shown("--metric", "revenue", "--hour", "9")
    (cell,) = found["cells"]
    assert [(line["cause"], line["events"], line["amount"]) for line in cell["lines"]] == [
        ("duplicate", 1, -1_000),
        ("late", 1, 700),
    ]
    assert [event["order_id"] for event in found["events"]] == ["o3", "late"]
    told = invoke("--metric", "revenue", "--hour", "9").stdout
    assert "revenue 2017-12-23 09:00 UTC: batch $17.00, stream as counted $20.00" in told
    assert "batch - stream            -$3.00" in told
    assert "late: +$7.00" in told


def test_an_hour_that_the_clocks_repeat_is_told_from_the_one_before_by_its_zone() -> None:
    both = [
        Cell("revenue_cents", Unit.CENTS, datetime(2017, 10, 29, hour, tzinfo=UTC), "", batch=100, counted=0, lines=())
        for hour in (0, 1)
    ]
    found = Breakdown(date(2017, 10, 29), 1, "hours", tuple(both), ())
    told = lines(found, Settings(business_timezone="Europe/Berlin"), None)
    assert [line.split(": batch")[0] for line in told if line.startswith("revenue")] == [
        "revenue 2017-10-29 02:00 CEST",
        "revenue 2017-10-29 02:00 CET",
    ]


def test_an_event_of_another_kind_is_in_its_own_figure(shop: Settings) -> None:
    found = shown("--metric", "cancelled_revenue", "--hour", "9")
    assert [event["order_id"] for event in found["events"]] == ["o1"]
    assert [line["cause"] for line in found["cells"][0]["lines"]] == ["quarantined"]


def test_customers_have_one_cell_a_date(shop: Settings) -> None:
    (cell,) = shown("--metric", "unique_customers")["cells"]
    assert (cell["difference"], [line["cause"] for line in cell["lines"]]) == (1, ["late"])
    assert shown("--metric", "unique_customers", "--hour", "9")["cells"] == []


def test_corrections_do_not_change_what_was_counted(shop: Settings) -> None:
    before = shown("--metric", "revenue")["cells"]
    assert CliRunner().invoke(cli.app, ["corrections", "approve", "--date", str(DAY)]).exit_code == 0
    Applier(shop).apply()
    assert shown("--metric", "revenue")["cells"] == before


def test_causes_that_do_not_add_up_are_said_and_end_the_command_with_1(shop: Settings) -> None:
    execute(shop, "UPDATE reconciliation.ledger SET amount = amount + 1 WHERE cause = 'late' AND cube = 'orders'")
    done = invoke("--metric", "revenue", "--hour", "9")
    assert done.exit_code == 1
    assert "THE CAUSES DO NOT ADD UP TO" in done.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--metric", "avg_order_value"], "name one of order_count, revenue"),
        (["--order", "o1", "--hour", "9"], "give --order, or --date with --metric, --hour or --by"),
        (["--hour", "24"], "less than or equal to 23"),
    ],
)
def test_what_was_asked_wrongly_is_answered_in_one_line(shop: Settings, options: list[str], said: str) -> None:
    done = invoke(*options)
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
