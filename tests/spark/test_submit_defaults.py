"""spark-submit without flags, and jobs that are run by their path."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from spark_jobs import submit_defaults
from tandem.errors import TandemError
from tandem.settings import PROJECT_ROOT, Settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(submit_defaults, "conf_folder", lambda: tmp_path / "conf")
    return tmp_path / "conf"


def test_no_module_beside_a_job_shadows_the_standard_library():
    beside = {path.stem for path in (PROJECT_ROOT / "spark_jobs").glob("*.py")} - {"__init__"}
    assert beside & set(sys.stdlib_module_names) == set()


def test_everything_listens_on_the_loopback_address_only(folder: Path):
    submit_defaults.write_defaults(Settings())
    properties = dict(line.split(" ", 1) for line in (folder / "spark-defaults.conf").read_text().splitlines()[1:])
    assert properties["spark.driver.host"] == properties["spark.driver.bindAddress"] == "127.0.0.1"
    assert properties["spark.ui.enabled"] == "false"


def test_writing_the_defaults_again_touches_nothing(folder: Path):
    submit_defaults.write_defaults(Settings())
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    submit_defaults.write_defaults(Settings())
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_somebody_elses_configuration_is_never_overwritten(folder: Path):
    folder.mkdir()
    (folder / "spark-defaults.conf").write_text("spark.master yarn\n")
    with pytest.raises(TandemError, match="not Tandem's"):
        submit_defaults.write_defaults(Settings())
    assert (folder / "spark-defaults.conf").read_text() == "spark.master yarn\n"


def test_no_secret_stands_in_the_configuration(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TANDEM_SECRET_TANDEM_BATCH", "hunter2")
    submit_defaults.write_defaults(Settings())
    assert "hunter2" not in "".join(path.read_text() for path in folder.iterdir())
