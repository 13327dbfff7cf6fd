"""Nothing is dropped silently, and no order goes through smaller than it was."""

from __future__ import annotations

import csv
import io
import random
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from shops import HEADER, PLAIN, payloads, shop, sold

from tandem.errors import TandemError

WHOLE = "order 1 is left out as a whole: "


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,never,c,p,1,1", 'time "never" is not an ISO 8601 time'),
        ("1,,c,p,1,1", "no time"),
        ("1,2024-01-01,c,p,many,1", 'quantity "many" is not a number'),
        ("1,2024-01-01,c,p,,1", "no quantity"),
        ("1,2024-01-01,c,p,1.5,1", "quantity 1.5 is not whole"),
        ("1,2024-01-01,c,p,1,free", 'amount "free" is not a number'),
        ("1,2024-01-01,c,p,1,", "no amount"),
        ("1,2024-01-01,c,p,1,99999999999999", "amount is too large"),
        ("1,2024-01-01,c,p,1", "5 columns instead of 6"),
        ("1,2024-01-01,c,p,1,1,extra", "7 columns instead of 6"),
    ],
)
def test_an_unreadable_line_takes_its_whole_order_along(tmp_path: Path, line: str, reason: str) -> None:
    lines = f"1,2024-01-01,c,p,1,1\n2,2024-01-01,c,p,1,2.00\n{line}\n"
    with shop(tmp_path, HEADER + lines) as source:
        assert sold(source) == {"2": "2.00"}
        assert [tuple(reject) for reject in source.rejects()] == [
            (2, 2, "1", f"{WHOLE}its line 4: {reason}"),
            (4, 4, "1", reason),
        ]
        assert source.rejected == (2, 1)


def test_a_line_without_an_order_id_is_rejected_alone(tmp_path: Path) -> None:
    with shop(tmp_path, HEADER + "1,2024-01-01,c,p,1,1\n ,2024-01-01,c,p,1,1\n") as source:
        assert sold(source) == {"1": "1.00"}
        assert [tuple(reject) for reject in source.rejects()] == [(3, 3, None, "no order id")]


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ("1,2024-01-01,d,p,1,1", 'it names 2 customers, such as "c" and "d"'),
        ("1,2024-01-09,c,p,1,1", "its lines are more than a day apart, so its id is not unique"),
    ],
)
def test_lines_that_contradict_each_other_are_all_rejected(tmp_path: Path, second: str, reason: str) -> None:
    with shop(tmp_path, HEADER + f"1,2024-01-01,c,p,1,1\n{second}\n2,2024-01-01,c,p,1,1\n") as source:
        assert sold(source) == {"2": "1.00"}
        assert [(reject.line, reject.reason) for reject in source.rejects()] == [
            (2, WHOLE + reason),
            (3, WHOLE + reason),
        ]


def test_an_id_on_two_rows_is_rejected_where_each_row_is_an_order(tmp_path: Path) -> None:
    mapping = PLAIN.replace("[order]", '[file]\nrow_per = "order"\n[order]')
    with shop(
        tmp_path, HEADER + "1,2024-01-01,c,p,1,1\n1,2024-01-01,c,p,1,1\n2,2024-01-01,c,p,1,1\n", mapping
    ) as source:
        assert sold(source) == {"2": "1.00"}
        assert {reject.reason for reject in source.rejects()} == {
            WHOLE + 'its id is on 2 rows, although file.row_per is "order"'
        }


def test_what_a_left_out_order_takes_back_is_left_out_too(tmp_path: Path) -> None:
    mapping = PLAIN + '\n[cancellation]\nwhen = "id LIKE \'R%\'"\ncancels = "substr(id, 2)"\n'
    lines = "1,2024-01-01,c,p,one,5\nR1,2024-01-02,c,p,-1,-5\nR9,2024-01-02,c,p,-1,-5\n"
    with shop(tmp_path, HEADER + lines, mapping) as source:
        assert sold(source) == {"9": "5.00"}
        assert [(reject.line, reject.reason) for reject in source.rejects()] == [
            (2, 'quantity "one" is not a number'),
            (3, "order R1 is left out as a whole: it cancels order 1, which is left out"),
        ]


def test_what_cancels_a_cancellation_that_is_left_out_is_left_out_too(tmp_path: Path) -> None:
    mapping = PLAIN + '\n[cancellation]\nwhen = "number(amount) < 0"\ncancels = "customer"\n'
    lines = "A,2024-01-01,,p,1.5,9\nB,2024-01-02,A,p,1,-5\nC,2024-01-03,B,p,1,-2\nD,2024-01-04,,p,1,4\n"
    with shop(tmp_path, HEADER + lines, mapping) as source:
        assert sold(source) == {"D": "4.00"}
        assert [reject.reason for reject in source.rejects()][1:] == [
            "order B is left out as a whole: it cancels order A, which is left out",
            "order C is left out as a whole: it cancels order B, which is left out",
        ]


def test_an_order_that_cancels_two_that_are_left_out_is_listed_once_a_line(tmp_path: Path) -> None:
    mapping = PLAIN + '\n[cancellation]\nwhen = "number(amount) < 0"\ncancels = "product"\n'
    lines = "A,2024-01-01,,p,1.5,9\nB,2024-01-01,,p,1.5,9\nR,2024-01-02,,A,1,-5\nR,2024-01-02,,B,1,-2\n"
    with shop(tmp_path, HEADER + lines, mapping) as source:
        assert [reject.line for reject in source.rejects()] == [2, 3, 4, 5]


def test_a_condition_that_is_neither_true_nor_false_rejects_the_line(tmp_path: Path) -> None:
    mapping = PLAIN + '\n[cancellation]\nwhen = "number(pieces) < 0"\n'
    with shop(tmp_path, HEADER + "1,2024-01-01,c,p,x,5\n", mapping) as source:
        assert source.rejects()[0].reason == "cancellation.when is neither true nor false"


def test_what_can_be_read_goes_through_for_the_checks_to_judge(tmp_path: Path) -> None:
    with shop(tmp_path, HEADER + "1,2024-01-01,,,1,0\n") as source:
        (payload,) = payloads(source)
        assert source.rejected == (0, 0)
    assert (payload.customer_id, payload.items[0].product_id, payload.total_amount) == (None, None, "0.00")


def test_the_rejects_file_lists_every_row(tmp_path: Path) -> None:
    with shop(tmp_path, HEADER + '1,2024-01-01,c,"p\nq",1,x\n2,,c,p,1,1\n') as source:
        source.write_rejects(tmp_path / "rejects.csv")
        with pytest.raises(TandemError, match="give a file with --rejects"):
            source.write_rejects(tmp_path / "nowhere" / "rejects.csv")
    with (tmp_path / "rejects.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["line", "last_line", "order_id", "reason"],
            ["2", "3", "1", 'amount "x" is not a number'],
            ["4", "4", "2", "no time"],
        ]


BREAKS = (
    lambda cells: [*cells, "one more"],
    lambda cells: cells[:-1],
    lambda cells: [cells[0], "31.02.2024", *cells[2:]],
    lambda cells: [*cells[:-1], "12,3O"],
    lambda cells: ["", *cells[1:]],
    lambda cells: [*cells[:4], "?", cells[5]],
)


def test_of_a_file_with_one_per_cent_broken_rows_the_rest_adds_up_to_the_cent(tmp_path: Path) -> None:
    chance = random.Random(20171223)
    text, kept, broken_lines, lost_ids = io.StringIO(newline=""), {}, {}, set()
    writer = csv.writer(text)
    writer.writerow(HEADER.strip().split(","))
    for line in range(2, 20_002):
        order = str(line // 4)
        price, pieces = Decimal(chance.randrange(1, 500_000)) / 1000, chance.randrange(1, 9)
        cells = [
            order,
            f"2024-03-{1 + line // 4 % 28:02d} 10:00:00",
            f"c{line // 4 % 300}",
            "p",
            str(pieces),
            str(price),
        ]
        if chance.random() < 0.01:
            cells = chance.choice(BREAKS)(cells)
            broken_lines[line] = cells
            # A row that has lost its id cannot say which order it breaks.
            lost_ids.add(cells[0] or None)
        else:
            kept.setdefault(order, Decimal(0))
            kept[order] += price.quantize(Decimal("0.01"), ROUND_HALF_UP)
        writer.writerow(cells)
    whole = {order: f"{total:.2f}" for order, total in kept.items() if order not in lost_ids}
    with shop(tmp_path, text.getvalue()) as source:
        assert sold(source) == whole
        rejected = {reject.line: reject for reject in source.rejects()}
        assert source.rejected[0] == len(rejected)
    assert set(broken_lines) <= set(rejected)
    siblings = set(rejected) - set(broken_lines)
    assert all("is left out as a whole" in rejected[line].reason for line in siblings)
    assert {str(line // 4) for line in siblings} <= lost_ids
    assert len(whole) + len(lost_ids - {None}) >= 20_000 // 4
