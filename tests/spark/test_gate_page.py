"""The page of gate results: what it says, that it loads nothing from outside, and where it is shown."""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, date, datetime
from html import unescape
from pathlib import Path

import pytest
from installations import tandem

from spark_jobs import gate, gate_page, runs
from spark_jobs.gate_suites import Level
from tandem import pages
from tandem.errors import TandemError
from tandem.local.mail_page import page_server
from tandem.settings import Settings

pytestmark = pytest.mark.integration

DAY = date(2017, 12, 23)
HOSTILE = '<img src="http://evil.example/x"><script>alert(1)</script>'
RESULTS = [
    gate.Result("order_facts", "keys are unique", Level.FAIL, True, "604 rows", ()),
    gate.Result("order_facts", "revenue is near the usual", Level.WARN, False, HOSTILE, ()),
    gate.Result(
        "archive",
        "every record has a row",
        Level.FAIL,
        False,
        "2 rows",
        ({"partition": 3, "offset": 17}, {"offset": 18}),
    ),
]


@pytest.fixture
def checked(clean_database: Settings) -> str:
    """A run of the day with one failed check, one warning and one that passed."""
    run = runs.open_run(clean_database, runs.new_run_id(DAY, datetime.now(UTC)), DAY)
    gate.store(clean_database, run.run_id, DAY, RESULTS, None)
    return run.run_id


def cells(page: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    return [[unescape(cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL)] for row in rows]


def test_the_page_shows_every_check_those_that_failed_first_with_their_rows(
    clean_database: Settings, checked: str
) -> None:
    page = gate_page.html(gate_page.read(clean_database, DAY))
    assert "1 failed, nothing was published" in page
    assert cells(page) == [
        ["outcome", "suite", "expectation", "observed"],
        ["failed", "archive", "every record has a row", "2 rows"],
        ["warning", "order_facts", "revenue is near the usual", HOSTILE],
        ["passed", "order_facts", "keys are unique", "604 rows"],
        ["offset", "partition"],
        ["17", "3"],
        ["18", ""],
    ]


def test_the_page_loads_nothing_and_runs_nothing_whatever_the_data_says(clean_database: Settings, checked: str) -> None:
    page = gate_page.html(gate_page.read(clean_database, DAY))
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    tags = re.findall(r"<([a-z]+)([^>]*)>", page)
    assert not {name for name, _ in tags} & {"script", "img", "link", "iframe", "object"}
    assert not [attributes for _, attributes in tags if re.search(r"\b(src|href)=|//", attributes)]
    assert not re.search(r"url\(|@import", page)


def test_of_several_runs_the_last_one_that_was_checked_is_shown_unless_another_is_named(
    clean_database: Settings, checked: str
) -> None:
    later = runs.open_run(clean_database, runs.new_run_id(DAY, datetime.now(UTC)), DAY)
    assert gate_page.read(clean_database, DAY).run_id == checked
    gate.store(clean_database, later.run_id, DAY, RESULTS[:1], None)
    assert gate_page.read(clean_database, DAY).run_id == later.run_id
    assert gate_page.read(clean_database, DAY, checked).failed == 1
    with pytest.raises(TandemError, match="no run of 2017-12-22 was checked"):
        gate_page.read(clean_database, date(2017, 12, 22))


@pytest.fixture
def served(clean_database: Settings) -> Iterator[Settings]:
    with page_server(clean_database) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield clean_database
        server.shutdown()
        thread.join()


def test_the_address_in_the_report_shows_the_page_that_was_kept(served: Settings, checked: str) -> None:
    kept = gate_page.keep(served, gate_page.read(served, DAY))
    with urllib.request.urlopen(pages.address(served, pages.Kind.GATES, checked), timeout=30) as answer:  # noqa: S310
        assert answer.read() == kept.read_bytes()
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    for other in ("gone", "..%2Fsecrets%2Ftandem_owner", ".."):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(pages.address(served, pages.Kind.GATES, other), timeout=30)  # noqa: S310


@pytest.mark.parametrize("run_id", ["", "..", "../x", "a/b", ".hidden", "a" * 101])
def test_what_names_no_page_names_no_file(platform_settings: Settings, run_id: str) -> None:
    with pytest.raises(ValueError, match="no name of a page"):
        pages.file(platform_settings, pages.Kind.GATES, run_id)


def test_the_command_prints_writes_and_says_by_its_exit_status_whether_a_check_failed(
    clean_database: Settings, checked: str, tmp_path: Path
) -> None:
    done = tandem(clean_database, "gates", "--date", str(DAY))
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == "failed   archive: every record has a row 2 rows"
    file = tmp_path / "gates.html"
    done = tandem(clean_database, "gates", "--date", str(DAY), "--out", str(file), "--json")
    assert [check["success"] for check in json.loads(done.stdout)["checks"]] == [False, False, True]
    assert file.read_text(encoding="utf-8") == gate_page.html(gate_page.read(clean_database, DAY))
    done = tandem(clean_database, "gates", "--date", "2017-12-22")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
