"""Everything that ``--json`` prints goes through here, so that an instant looks the same in all of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from pathlib import Path

import tandem
from tandem import documents

ROOT = Path(tandem.__file__).parents[1]


class Verdict(StrEnum):
    MATCH = "match"


@dataclass(frozen=True, slots=True)
class Found:
    day: date
    at: datetime
    took: timedelta
    verdict: Verdict
    page: Path


def test_an_instant_is_written_in_utc_wherever_it_stands_and_whatever_its_zone() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    moment = datetime(2017, 12, 23, 9, 5, tzinfo=UTC)
    written = json.loads(documents.text({"at": moment, "in": [{"at": (moment.astimezone(east), None)}]}))
    assert written == {"at": "2017-12-23T09:05:00Z", "in": [{"at": ["2017-12-23T09:05:00Z", None]}]}
    assert documents.instant(moment + timedelta(milliseconds=250)) == "2017-12-23T09:05:00.250000Z"


def test_values_of_the_project_become_what_json_has() -> None:
    found = Found(date(2017, 12, 23), datetime(2017, 12, 24, tzinfo=UTC), timedelta(hours=1), Verdict.MATCH, Path("a"))
    assert documents.plain([found]) == [
        {"day": "2017-12-23", "at": "2017-12-24T00:00:00Z", "took": "PT3600S", "verdict": "match", "page": "a"}
    ]


def test_no_command_writes_its_json_by_itself() -> None:
    commands = [file for part in ("tandem", "stream", "reconciliation") for file in (ROOT / part).rglob("*cli.py")]
    assert len(commands) > 10
    by_itself = [file.name for file in commands if re.search(r"json\.dumps|to_builtins|json\.encode", file.read_text())]
    assert by_itself == []
