"""The drill as a user runs it, with a seed of its own each time."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from installations import end_installation, processes_of

from tandem.settings import PROJECT_ROOT, Settings

pytestmark = [pytest.mark.integration, pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(2400)]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tandem-drill-") as name:
        Path(name).chmod(0o711)  # root lets another user run Postgres, who must get through
        yield Path(name)
        end_installation(Settings(state_dir=Path(name) / "state"))


def drill(folder: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Exit status and what ``--json`` printed."""
    seed = random.SystemRandom().randrange(2**31)
    command = ["drill", "--seed", str(seed), "--folder", str(folder / "state"), "--json", *options]
    print(f"tandem {' '.join(command)}")  # with which to do it again
    done = subprocess.run(
        [sys.executable, "-m", "tandem", *command],
        env=dict(os.environ),
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=2300,
    )
    return done.returncode, json.loads(done.stdout)


def test_every_planted_fault_is_found_with_its_cause_and_amount(folder: Path) -> None:
    page = folder / "matrix.html"
    days = ("--from", "2017-05-03", "--to", "2017-05-07", "--clean-days", "2")
    status, found = drill(folder, "--faults", "60", *days, "--page", str(page))
    assert found["problems"] == []
    assert (status, found["passed"]) == (0, True)
    assert (found["planted"], found["found"], found["dates"], found["clean_dates"]) == (60, 60, 5, 2)
    assert (found["wrong_cause"], found["unexplained_cents"], found["false_alarms"]) == (0, 0, 0)
    assert {planted: [*row] for planted, row in found["matrix"].items()} == {
        cause: [cause] for cause in ("duplicate", "late", "no difference")
    }
    assert "60 of 60 faults found" in page.read_text()
    assert not (folder / "state").exists()
    assert processes_of(Settings(state_dir=folder / "state")) == []


def test_every_fault_in_the_layers_is_found_as_what_it_is_and_never_corrected_into_the_right_side(folder: Path) -> None:
    status, found = drill(folder, "--layers", "--from", "2017-05-01")
    assert found["problems"] == []
    assert (status, found["passed"], found["planted"], found["found"]) == (0, True, 7, 7)
    assert {fault["cause"]: fault["corrections"].split()[-1] for fault in found["faults"]} == {
        "missing_in_stream": "applied",
        "aggregation": "applied",
        "journal lost": "none",
        "missing_in_batch": "wait",
        "unexplained": "wait",
        "not published": "none",
    }
