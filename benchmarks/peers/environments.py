"""Installs peers: Python ones by uv into environments of their own, Java ones by the Ivy inside PySpark."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from benchmarks.place import CACHE
from tandem.local.java import find_java

QUIX = ("quix", "quixstreams==3.28.1")
FLINK = ("flink", "apache-flink==2.3.0")
DATACOMPY = ("datacompy", "datacompy==1.1.0")
FLINK_CONNECTOR = ("org.apache.flink", "flink-sql-connector-kafka", "4.0.1-2.0")
KAFKA_STREAMS = ("org.apache.kafka", "kafka-streams", "4.1.1")
PEERS = {
    **dict(requirement.split("==") for _, requirement in (QUIX, FLINK)),
    **{module: revision for _, module, revision in (FLINK_CONNECTOR, KAFKA_STREAMS)},
}
"""The version of each."""


class NotInstalledError(Exception):
    """A peer cannot be installed here; the message says why in a line."""


def python_of(name: str, requirement: str) -> Path:
    """The Python of an environment that has the requirement."""
    folder = CACHE / name
    python = folder / "bin" / "python"
    done = folder / f".{requirement}"
    if not done.exists():
        uv = [sys.executable, "-m", "uv"]
        _run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], name)
        _run([*uv, "pip", "install", "--quiet", "--python", str(python), requirement], name)
        done.touch()
    return python


def jars_of(organisation: str, module: str, revision: str) -> list[Path]:
    """The jars of a module and of what it needs."""
    folder = CACHE / f"{module}-{revision}"
    if not folder.exists():
        pyspark = find_spec("pyspark")
        assert pyspark is not None and pyspark.origin is not None  # noqa: S101, PT018 - a dependency of the project
        ivy = next((Path(pyspark.origin).parent / "jars").glob("ivy-*.jar"))
        command = [str(find_java().command), "-jar", str(ivy), "-cache", str(CACHE / "ivy")]
        command += ["-dependency", organisation, module, revision, "-confs", "default", "-types", "jar", "bundle"]
        draft = folder.with_suffix(".new")
        _run([*command, "-retrieve", str(draft / "[artifact]-[revision].[ext]")], module)
        draft.rename(folder)
    return sorted(folder.glob("*.jar"))


def _run(command: list[str], name: str) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    print(f"installing {name}", file=sys.stderr, flush=True)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise NotInstalledError(f"{name} cannot be installed here: {words[-1] if words else 'no reason given'}")
