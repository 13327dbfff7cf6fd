"""The JVM parts: Kafka's broker, and Spark's jars for S3, checked against recorded sums.

``python -m tandem.local.jars`` fetches what is missing; ``... record`` writes the sums after jars.xml changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tandem.errors import TandemError
from tandem.local.java import find_java
from tandem.settings import settings

_WANTED = Path(__file__).with_name("jars.xml")
_SUMS = Path(__file__).with_name("jars.sha256")
_ATTEMPTS = 3
_ALWAYS = ("kafka",)
_ON_S3 = "s3"
"""Configurations of jars.xml, and the folders that they come into."""


def kafka_classpath() -> str:
    """Class path of the broker and its tools."""
    return str(settings().jars_dir / "kafka" / "*")


def spark_jars() -> list[Path]:
    """What a Spark session needs beyond PySpark, for ``spark.jars``: none, or those for S3 where it is used."""
    return [settings().jars_dir / name for name in _recorded([group for group in _wanted() if group == _ON_S3])]


def pyspark() -> Path:
    """The folder of the installed PySpark. Raises TandemError where there is none."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise TandemError("pyspark is not installed", "run 'make install'")
    return Path(spec.origin).parent


def java_home() -> Path:
    """The JAVA_HOME to give to Spark and Kafka. Raises TandemError where there is no supported Java."""
    return find_java().home


def ensure_jars() -> None:
    """Fetch the jars unless all are there with the recorded sums; safe to call from several processes at once.

    Raises TandemError where they cannot be fetched, or differ from what was recorded.
    """
    folder = settings().jars_dir
    if not _differing(folder):
        return
    with _locked(folder):
        if not (differing := _differing(folder)):
            return
        # Only what differs: others may run on the rest.
        _fetch(folder, sorted({Path(name).parts[0] for name in differing}))
        if differing := _differing(folder):
            raise TandemError(
                f"{len(differing)} jars are not the recorded ones, first {differing[0]}",
                f"delete {folder} and try again; if it stays, what was downloaded is not to be trusted",
            )


def record() -> None:
    """Fetch what jars.xml names and write the sums of what came."""
    folder = settings().jars_dir
    groups = [_ON_S3, *_ALWAYS]
    with _locked(folder):
        _fetch(folder, groups)
        jars = sorted(path for name in groups for path in (folder / name).glob("*.jar"))
        _SUMS.write_text("".join(f"{_sum(jar)}  {jar.relative_to(folder)}\n" for jar in jars), encoding="ascii")


def _wanted() -> list[str]:
    """The configurations that these settings need."""
    return [*_ALWAYS, *([_ON_S3] if settings().uses_s3 else [])]


def _recorded(groups: Sequence[str]) -> dict[str, str]:
    """Jar path below the jars folder → SHA-256, of these configurations."""
    lines = _SUMS.read_text(encoding="ascii").splitlines()
    return {name: digest for digest, name in (line.split() for line in lines) if Path(name).parts[0] in groups}


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _differing(folder: Path) -> list[str]:
    """What is missing, changed, or not wanted: the broker takes every jar that is there."""
    recorded = _recorded(_wanted())
    changed = [name for name, of in recorded.items() if not (folder / name).is_file() or _sum(folder / name) != of]
    there = {str(path.relative_to(folder)) for group in _wanted() for path in (folder / group).glob("*.jar")}
    return [*changed, *sorted(there - recorded.keys())]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time fetch into the folder; the lock falls with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(folder: Path, groups: Sequence[str]) -> None:
    """Resolve afresh, so that neither a broken download nor a jar of an older version stays."""
    size = sum({"kafka": 45, _ON_S3: 9}[group] for group in groups)
    _say(f"fetching the JVM parts ({size} MB, under a minute)")
    log = folder / "ivy.log"
    log.unlink(missing_ok=True)
    for attempt in range(1, _ATTEMPTS + 1):
        for name in (*groups, "cache"):
            shutil.rmtree(folder / name, ignore_errors=True)
        if _resolve(folder, groups, log):
            shutil.rmtree(folder / "cache")
            return
        if attempt < _ATTEMPTS:
            _say(f"that failed (see {log}), trying again")
    raise TandemError("the JVM parts could not be fetched", f"is the network there? Ivy's own words are in {log}")


def _resolve(folder: Path, groups: Sequence[str], log: Path) -> bool:
    ivy = next((pyspark() / "jars").glob("ivy-*.jar"))
    command = [str(find_java().command), "-jar", str(ivy), "-cache", str(folder / "cache"), "-ivy", str(_WANTED)]
    command += ["-confs", *groups, "-types", "jar", "bundle"]
    command += ["-retrieve", str(folder / "[conf]" / "[artifact]-[revision].[ext]")]
    with (
        log.open("ab") as output,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as ivy_run,
    ):
        _show_progress(ivy_run, output.fileno(), len(_recorded(groups)))
    return ivy_run.returncode == 0


def _show_progress(run: subprocess.Popen[bytes], log: int, expected: int) -> None:
    """Copy Ivy's words to the log and count on the screen what it has downloaded."""
    done = 0
    for line in run.stdout or ():
        os.write(log, line)
        if b"[SUCCESSFUL" in line:
            done += 1
            if done % 10 == 0:
                _say(f"  {done} of {expected} jars")


def _say(progress: str) -> None:
    """Progress goes to stderr: the command that needed the jars may print JSON."""
    print(f"tandem: {progress}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        record() if sys.argv[1:] == ["record"] else ensure_jars()
    except TandemError as error:
        sys.exit(f"tandem: {error}")
