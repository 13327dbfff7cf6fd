"""The archive of classes that set-up makes, so that each job's JVM starts with less work."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from spark_jobs import jvm_classes
from spark_jobs.session import spark_conf
from tandem.errors import TandemError
from tandem.local.jars import java_home
from tandem.settings import Settings


def java(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(java_home() / "bin" / "java"), *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A jar that is the whole class path, and an archive that would lie beside it."""
    jar = tmp_path / "spark.jar"
    jar.write_bytes(b"one")
    monkeypatch.setattr(jvm_classes, "class_path", lambda: [str(jar)])
    monkeypatch.setattr(jvm_classes, "pyspark", lambda: tmp_path)
    jvm_classes.archive_path.cache_clear()
    yield jar
    jvm_classes.archive_path.cache_clear()


def test_the_archive_that_set_up_made_is_taken_by_the_jvm_of_a_job(tmp_path: Path) -> None:
    """Also where a folder follows in the class path, as Spark's launcher puts one there."""
    properties = spark_conf(Settings())
    asked = shlex.split(properties["spark.driver.extraJavaOptions"])
    assert any("SharedArchiveFile" in option for option in asked), "run 'make install'"
    class_path = os.pathsep.join([properties["spark.driver.extraClassPath"], str(tmp_path)])
    # With -Xshare:on a JVM that cannot use its archives does not start.
    done = java(*asked, "-Xshare:on", "-cp", class_path, "org.apache.spark.deploy.SparkSubmit", "--version")
    assert done.returncode == 0, done.stderr
    assert "version 4" in done.stderr


def test_an_archive_that_does_not_fit_is_left_out_without_a_word_on_standard_output(elsewhere: Path) -> None:
    jvm_classes.archive_path().write_bytes(b"of another Java")
    options = shlex.split(" ".join(jvm_classes.options()))
    assert str(jvm_classes.archive_path()) in options[0]
    done = java(*options, "-version")
    assert (done.returncode, done.stdout) == (0, "")


def test_without_an_archive_nothing_is_asked_of_the_jvm(elsewhere: Path) -> None:
    assert jvm_classes.options() == []


def test_another_jar_needs_another_archive(elsewhere: Path) -> None:
    before = jvm_classes.archive_path()
    elsewhere.write_bytes(b"other")
    jvm_classes.archive_path.cache_clear()
    assert jvm_classes.archive_path() != before


def test_a_training_that_fails_says_why_and_leaves_nothing_behind(elsewhere: Path) -> None:
    with pytest.raises(TandemError, match="could not be prepared to start quickly"):
        jvm_classes.make({"spark.driver.extraJavaOptions": ""}, "127.0.0.1")
    assert list(elsewhere.parent.glob("classes-*")) == []
