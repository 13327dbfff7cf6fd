"""The class path of the driver, and an archive of the classes that every job loads: a third less work to start one.

The JVM maps the archive into memory instead of reading and checking the same 20,000 classes anew ("class data
sharing"). Set-up makes it (``python -m spark_jobs.submit_defaults``); where there is none for these jars and this Java,
jobs start without.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tandem.errors import TandemError
from tandem.local.jars import java_home, pyspark

_BUSIEST_JARS = (
    "spark-catalyst_", "scala-library-", "spark-core_", "scala-reflect-", "spark-sql-api_", "spark-sql_",
    "jackson-databind-", "log4j-core-", "hadoop-client-api-", "parquet-column-", "parquet-jackson-", "janino-",
    "commons-compiler-", "parquet-encoding-", "spark-network-common_", "arrow-vector-", "netty-common-",
    "parquet-format-structures-", "parquet-hadoop-", "antlr4-runtime-", "jackson-core-", "spark-common-utils_",
)  # fmt: skip
"""Where most of the classes are that a job loads, the most of them first: the JVM looks in every jar in turn."""
_SUBMIT = "org.apache.spark.deploy.SparkSubmit"
_LAUNCHER = "org.apache.spark.launcher.Main"


def class_path() -> list[str]:
    """PySpark's jars, the busiest first: what the class path of every driver begins with.

    All by name: an archive of classes holds for what begins with the jars that it was made from, and for no folder.
    """
    folder = pyspark() / "jars"
    busiest = [path for prefix in _BUSIEST_JARS for path in sorted(folder.glob(f"{prefix}[0-9]*.jar"))]
    return [str(path) for path in dict.fromkeys([*busiest, *sorted(folder.glob("*.jar"))])]


def options() -> list[str]:
    """JVM options to use the archive; none where there is none for these jars and this Java."""
    archive = archive_path()
    # What the JVM has against an archive it would say on standard output, where a job's JSON goes.
    return [f'-XX:SharedArchiveFile="{archive}"', "-Xlog:disable", "-Xlog:all=error:stderr"] if archive.exists() else []


@lru_cache
def archive_path() -> Path:
    """Where the archive for these jars and this Java is, or would be."""
    digest = hashlib.sha256((java_home() / "release").read_bytes() if (java_home() / "release").exists() else b"")
    for jar in class_path():
        found = Path(jar).stat()
        digest.update(f"{jar} {found.st_size} {found.st_mtime_ns}\n".encode())
    return pyspark() / f"classes-{digest.hexdigest()[:16]}.jsa"


def make(properties: Mapping[str, str], host: str) -> None:
    """Run a small job with these Spark properties, whose JVM writes down at its end what it has loaded.

    At once where the archive is there already. Raises TandemError where that fails; jobs then start without.
    """
    archive = archive_path()
    if archive.exists():
        return
    print("tandem: preparing Spark to start quickly (180 MB, half a minute)", file=sys.stderr, flush=True)
    for old in archive.parent.glob("classes-*.jsa*"):
        old.unlink()
    unfinished = archive.with_suffix(f".jsa-{os.getpid()}")
    environment = _environment(host)
    try:
        with TemporaryDirectory(prefix="tandem-classes-") as folder:
            _run(_training(properties, unfinished, folder, environment), environment)
        unfinished.rename(archive)
    except OSError as error:
        raise TandemError("Spark could not be prepared to start quickly", str(error)) from error
    finally:
        unfinished.unlink(missing_ok=True)


def _run(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """What the command says. Raises TandemError where it fails."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise TandemError("Spark could not be prepared to start quickly", said[-1] if said else "it said nothing")
    return done.stdout


def _training(properties: Mapping[str, str], archive: Path, folder: str, environment: Mapping[str, str]) -> list[str]:
    """The command that Spark's own launcher makes for the training, but that no folder is in its class path."""
    own = {
        **properties,
        "spark.driver.extraJavaOptions": f'-XX:ArchiveClassesAtExit="{archive}" -Xlog:disable '
        + properties["spark.driver.extraJavaOptions"],
        "spark.log.level": "ERROR",
        "spark.sql.warehouse.dir": f"{folder}/warehouse",
    }
    pairs = [part for name, value in own.items() for part in ("--conf", f"{name}={value}")]
    job = [str(Path(__file__).with_name("jvm_training.py")), folder]
    java = [str(java_home() / "bin" / "java"), "-cp", f"{pyspark() / 'jars'}/*"]
    told = _run([*java, _LAUNCHER, _SUBMIT, *pairs, *job], environment)
    command = [part for part in told.replace("\n", "").split("\0") if part]
    command[command.index("-cp") + 1] = os.pathsep.join(class_path())
    return command


def _environment(host: str) -> dict[str, str]:
    """What the scripts around Spark's launcher would set."""
    home = {"SPARK_HOME": str(pyspark()), "SPARK_SCALA_VERSION": "2.13", "SPARK_LOCAL_IP": host}
    return {**os.environ, **home, "PYSPARK_PYTHON": sys.executable, "JAVA_HOME": str(java_home())}
