"""A shop's own CSV with 1 % broken rows, through both layers: told by line, and the rest reconciles to 0.

Every step is the command that a user types. What must come out is added up from the rows that were written whole.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from installations import installations, tandem
from shop import start_archiver, start_speed_worker

from tandem.local import kafka, postgres
from tandem.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(1500)]

DAYS = {"01.03.2024": "2024-03-01", "02.03.2024": "2024-03-02"}
MAPPING = """
name = "kiosk"
[file]
encoding = "cp1252"
delimiter = ";"
decimal = ","
[order]
id = "Beleg"
customer = "Kunde"
time = "Zeit"
time_format = "%d.%m.%Y %H:%M"
[line]
product = "Artikel"
category = "Gruppe"
quantity = "Menge"
unit_price = "Preis"
"""
BREAKS = (
    lambda row: {**row, "Zeit": "31.02.2024 12:00"},
    lambda row: {**row, "Menge": "viele"},
    lambda row: {**row, "Preis": "1,2,3"},
    lambda row: {name: row[name] for name in list(row)[:5]},
)


@dataclass
class Kiosk:
    """The file, the lines that are broken in it, and what its whole orders come to."""

    path: Path
    rows: int = 0
    broken_lines: set[int] = field(default_factory=set)
    whole_lines_of_broken_orders: set[int] = field(default_factory=set)
    figures: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Evening:
    """The installation when all is done, with what the commands printed."""

    settings: Settings
    kiosk: Kiosk
    sent: dict[str, object]
    told: str
    reconciled: list[dict[str, object]]


def write(folder: Path) -> Kiosk:
    chance, kiosk = random.Random(20240301), Kiosk(folder / "kasse.csv")
    orders: dict[str, list[tuple[int, dict[str, str], bool]]] = {}
    with kiosk.path.open("w", encoding="cp1252", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["Beleg", "Kunde", "Zeit", "Artikel", "Gruppe", "Menge", "Preis"])
        for number in range(1_500):
            at = f"{chance.choice(list(DAYS))} {chance.randrange(24):02d}:{chance.randrange(60):02d}"
            for _ in range(chance.randint(1, 3)):
                row = {
                    "Beleg": f"B{number}",
                    "Kunde": f"K{number % 300}",
                    "Zeit": at,
                    "Artikel": f"P{chance.randrange(40)}",
                    "Gruppe": chance.choice(["Käse", "Öl", "Brot"]),
                    "Menge": str(chance.randint(1, 4)),
                    "Preis": f"{chance.randrange(1, 100)},{chance.randrange(1_000):03d}",
                }
                kiosk.rows += 1
                broken = chance.random() < 0.01
                orders.setdefault(row["Beleg"], []).append((kiosk.rows + 1, row, broken))
                writer.writerow((chance.choice(BREAKS)(row) if broken else row).values())
    for lines in orders.values():
        kiosk.broken_lines |= {line for line, _, broken in lines if broken}
        if any(broken for *_, broken in lines):
            kiosk.whole_lines_of_broken_orders |= {line for line, _, broken in lines if not broken}
    for written, day in DAYS.items():
        whole = [
            [row for _, row, _ in lines]
            for lines in orders.values()
            if lines[0][1]["Zeit"].startswith(written) and not any(broken for *_, broken in lines)
        ]
        kiosk.figures[day] = {
            "order_count": len(whole),
            "revenue_cents": sum(cents(row) for rows in whole for row in rows),
            "unique_customers": len({rows[0]["Kunde"] for rows in whole}),
            "units": sum(int(row["Menge"]) for rows in whole for row in rows),
        }
    return kiosk


def cents(row: dict[str, str]) -> int:
    """A line's money: pieces times price, rounded once."""
    return int((int(row["Menge"]) * Decimal(row["Preis"].replace(",", ".")) * 100).quantize(Decimal(1), ROUND_HALF_UP))


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evening]:
    folder = tmp_path_factory.mktemp("kiosk")
    kiosk = write(folder)
    (folder / "kasse.toml").write_text(MAPPING, encoding="utf-8")
    for own in installations():
        postgres.start(own)
        kafka.start(own)
        replay = ("replay", str(kiosk.path), "--mapping", str(folder / "kasse.toml"), "--json")
        first, again = tandem(own, *replay), tandem(own, *replay)
        assert (first.returncode, again.returncode) == (0, 0), first.stderr
        for program in [start(own, "--until-caught-up") for start in (start_speed_worker, start_archiver)]:
            program.communicate(timeout=300)
            assert program.returncode == 0
        days = ("--from", min(DAYS.values()), "--to", max(DAYS.values()))
        computed = tandem(own, "batch", *days)
        assert computed.returncode == 0, computed.stderr
        reconciled = tandem(own, "reconcile", *days, "--json")
        assert reconciled.returncode == 0, reconciled.stdout + reconciled.stderr
        yield Evening(own, kiosk, json.loads(first.stdout), first.stderr, json.loads(reconciled.stdout))


def test_about_one_row_in_a_hundred_is_broken(evening: Evening) -> None:
    assert 0.005 < len(evening.kiosk.broken_lines) / evening.kiosk.rows < 0.02


def test_every_broken_row_is_told_by_its_line_and_so_is_every_line_it_takes_along(evening: Evening) -> None:
    with evening.kiosk.path.with_suffix(".rejects.csv").open(encoding="utf-8", newline="") as file:
        rejects = {int(reject["line"]): reject["reason"] for reject in csv.DictReader(file)}
    kiosk = evening.kiosk
    assert set(rejects) == kiosk.broken_lines | kiosk.whole_lines_of_broken_orders
    assert evening.sent["rejected_rows"] == len(rejects)
    whole = {line for line, reason in rejects.items() if "is left out as a whole" in reason}
    assert whole == kiosk.whole_lines_of_broken_orders
    assert f"line {min(rejects)}: " in evening.told


@pytest.mark.parametrize("layer", ["speed", "batch", "serving"])
@pytest.mark.parametrize("day", DAYS.values())
def test_the_rest_stands_in_every_layer_to_the_cent_though_it_was_sent_twice(
    evening: Evening, layer: str, day: str
) -> None:
    asked = tandem(evening.settings, "kpi", "--date", day, "--layer", layer, "--json")
    metrics = json.loads(asked.stdout)["metrics"]
    assert {name: metrics[name] for name in evening.kiosk.figures[day]} == evening.kiosk.figures[day]


def test_the_rest_reconciles_to_zero(evening: Evening) -> None:
    assert [one["verdict"] for one in evening.reconciled] == ["match", "match"]
    differences = [figure["difference"] for one in evening.reconciled for figure in one["metrics"].values()]
    assert set(differences) == {0}
