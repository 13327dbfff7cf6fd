"""JVM parts are what was recorded, or nothing runs on them."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from tandem.errors import TandemError
from tandem.local import jars
from tandem.settings import settings


@pytest.fixture
def fetched() -> Path:
    jars.ensure_jars()
    return settings().jars_dir


@pytest.fixture
def copied(fetched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = tmp_path / "jars"
    shutil.copytree(fetched, copy)
    monkeypatch.setenv("TANDEM_JARS_DIR", str(copy))
    settings.cache_clear()
    yield copy
    settings.cache_clear()


@pytest.mark.integration
def test_every_jar_on_disk_is_recorded_with_its_sum(fetched: Path):
    recorded = dict(reversed(line.split()) for line in Path(jars.__file__).with_name("jars.sha256").open())
    on_disk = {
        str(path.relative_to(fetched)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in fetched.glob("*/*.jar")
    }
    always = {name: digest for name, digest in recorded.items() if not name.startswith("s3/")}
    assert always.items() <= on_disk.items() <= recorded.items()


@pytest.mark.integration
def test_spark_gets_delta_and_nothing_that_it_ships_itself(fetched: Path):
    names = {path.name.rsplit("-", 1)[0] for path in jars.spark_jars()}
    assert not settings().uses_s3
    assert names == {"delta-spark_4.1_2.13", "delta-storage"}
    assert all(path.is_file() for path in jars.spark_jars())


@pytest.mark.integration
def test_a_changed_jar_is_fetched_anew(fetched: Path, copied: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jars, "_fetch", lambda folder, groups: shutil.copytree(fetched, folder, dirs_exist_ok=True))
    victim = copied / "spark" / "delta-storage-4.4.0.jar"
    good = victim.read_bytes()
    victim.write_bytes(good + b"!")
    jars.ensure_jars()
    assert victim.read_bytes() == good


@pytest.mark.integration
def test_a_jar_that_is_no_longer_wanted_goes(copied: Path, fetched: Path, monkeypatch: pytest.MonkeyPatch):
    def fetch(folder: Path, groups: list[str]) -> None:
        assert groups == ["spark"]
        shutil.rmtree(folder / "spark")
        shutil.copytree(fetched / "spark", folder / "spark")

    monkeypatch.setattr(jars, "_fetch", fetch)
    stray = copied / "spark" / "postgresql-42.7.8.jar"
    stray.write_bytes(b"of an earlier version")
    jars.ensure_jars()
    assert not stray.exists()


@pytest.mark.integration
def test_what_stays_different_after_fetching_is_refused_in_one_line(copied: Path, monkeypatch: pytest.MonkeyPatch):
    victim = copied / "spark" / "delta-storage-4.4.0.jar"
    victim.write_bytes(b"tampered")
    monkeypatch.setattr(jars, "_fetch", lambda _folder, _groups: None)  # as if the source itself were tampered with
    with pytest.raises(TandemError, match=r"1 jars are not the recorded ones, first spark/delta-storage-4\.4\.0\.jar"):
        jars.ensure_jars()


def test_no_network_is_one_line_after_three_attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv("TANDEM_JARS_DIR", str(tmp_path / "jars"))
    monkeypatch.setattr(jars, "_resolve", lambda _folder, _groups, _log: False)
    settings.cache_clear()
    with pytest.raises(TandemError, match="the JVM parts could not be fetched: is the network there"):
        jars.ensure_jars()
    settings.cache_clear()
    assert capsys.readouterr().err.count("trying again") == 2
