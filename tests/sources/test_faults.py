from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from tandem.checks import CHECKS
from tandem.errors import TandemError
from tandem.events import Decision
from tandem.settings import PROJECT_ROOT
from tandem.sources.faults import KINDS, FaultPlan, FaultRequest, load_faults


def load(folder: Path, text: str) -> FaultPlan:
    path = folder / "faults.toml"
    path.write_text(dedent(text), encoding="utf-8")
    return load_faults(path)


def test_a_file_orders_so_many_of_a_kind_on_a_date(tmp_path: Path) -> None:
    plan = load(
        tmp_path,
        """
        seed = 7
        [[fault]]
        kind = "late_beyond_lateness"
        count = 4
        date = 2017-12-23
        at_least = "300.00"
        """,
    )
    (request,) = plan.fault
    assert (plan.seed, request.count, request.date.isoformat()) == (7, 4, "2017-12-23")
    assert request.bounds() == (7_500, None)


def test_bounds_of_each_order_keep_the_sum_also_where_it_does_not_divide() -> None:
    request = FaultRequest(kind="repeated_order", count=3, at_least="100.00", at_most="200.00")
    least, most = request.bounds()
    assert 3 * least >= 10_000 > 3 * (least - 1)
    assert most is not None
    assert 3 * most <= 20_000 < 3 * (most + 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed = 1\n[[fault]]\nkind = 'lost'", "no fault kind 'lost'; there are copy_within_horizon,"),
        ("seed = 1\n[[fault]]\nkind = 'repeated_order'\ncount = 0", "count of repeated_order must be at least 1"),
        ("seed = 1\n[[fault]]\nkind = 'repeated_order'\nwhen = 1", "unknown field `when`"),
        ("seed = 1\n[[fault]]\nkind = 'repeated_order'\nat_least = '5'\nat_most = 'x'", "'x' is not an amount"),
        ("[[fault]]\nkind = 'repeated_order'", "missing required field `seed`"),
        ("seed = ", "Invalid value"),
    ],
)
def test_a_wrong_file_is_one_line_that_says_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(TandemError) as error:
        load(tmp_path, text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_every_check_has_a_kind_of_fault_and_every_kind_stands_in_the_documentation() -> None:
    assert {check.code.lower() for check in CHECKS} <= set(KINDS)
    text = (PROJECT_ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    assert [name for name in KINDS if f"`{name}`" not in text] == []


def test_a_kind_makes_a_difference_exactly_where_the_layers_decide_differently() -> None:
    for kind in KINDS.values():
        differs = (kind.speed is Decision.COUNTED) != (kind.batch is Decision.COUNTED)
        assert differs == (kind.revenue_sign != 0) == (kind.cause != "no difference")
