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
        for group in ("kafka", "s3")  # an installation of before may have others, that nothing looks at
        for path in (fetched / group).glob("*.jar")
    }
    always = {name: digest for name, digest in recorded.items() if not name.startswith("s3/")}
    assert always.items() <= on_disk.items() <= recorded.items()


@pytest.mark.integration
def test_spark_gets_no_jar_that_it_does_not_ship_itself_but_for_s3(fetched: Path, monkeypatch: pytest.MonkeyPatch):
    assert not settings().uses_s3
    assert jars.spark_jars() == []
    monkeypatch.setenv("TANDEM_ARCHIVE_URI", "s3://books/archive")
    settings.cache_clear()
    assert "hadoop-aws-3.4.2.jar" in {path.name for path in jars.spark_jars()}
    settings.cache_clear()


@pytest.mark.integration
def test_a_changed_jar_is_fetched_anew(fetched: Path, copied: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jars, "_fetch", lambda folder, groups: shutil.copytree(fetched, folder, dirs_exist_ok=True))
    victim = copied / "kafka" / "kafka-clients-4.1.1.jar"
    good = victim.read_bytes()
    victim.write_bytes(good + b"!")
    jars.ensure_jars()
    assert victim.read_bytes() == good


@pytest.mark.integration
def test_a_jar_that_is_no_longer_wanted_goes(copied: Path, fetched: Path, monkeypatch: pytest.MonkeyPatch):
    def fetch(folder: Path, groups: list[str]) -> None:
        assert groups == ["kafka"]
        shutil.rmtree(folder / "kafka")
        shutil.copytree(fetched / "kafka", folder / "kafka")

    monkeypatch.setattr(jars, "_fetch", fetch)
    stray = copied / "kafka" / "kafka-clients-3.9.0.jar"
    stray.write_bytes(b"of an earlier version")
    jars.ensure_jars()
    assert not stray.exists()


@pytest.mark.integration
def test_what_stays_different_after_fetching_is_refused_in_one_line(copied: Path, monkeypatch: pytest.MonkeyPatch):
    victim = copied / "kafka" / "kafka-clients-4.1.1.jar"
    victim.write_bytes(b"tampered")
    monkeypatch.setattr(jars, "_fetch", lambda _folder, _groups: None)  # as if the source itself were tampered with
    with pytest.raises(TandemError, match=r"1 jars are not the recorded ones, first kafka/kafka-clients-4\.1\.1\.jar"):
        jars.ensure_jars()


def test_no_network_is_one_line_after_three_attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv("TANDEM_JARS_DIR", str(tmp_path / "jars"))
    monkeypatch.setattr(jars, "_resolve", lambda _folder, _groups, _log: False)
    settings.cache_clear()
    with pytest.raises(TandemError, match="the JVM parts could not be fetched: is the network there"):
        jars.ensure_jars()
    settings.cache_clear()
    assert capsys.readouterr().err.count("trying again") == 2
