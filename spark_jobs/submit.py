"""Run a job by spark-submit, as its own process, with the properties that these settings give."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from spark_jobs import caller
from spark_jobs.session import spark_conf
from tandem.errors import TandemError
from tandem.local.jars import java_home
from tandem.local.process import environment
from tandem.settings import Settings

_NOISE = "WARNING: Using incubator modules"
_OUT_OF_MEMORY = "java.lang.OutOfMemoryError"


def submit(settings: Settings, target: str, arguments: Sequence[str]) -> None:
    """Run ``spark_jobs/<target>.py`` to its end; its words go to stderr. Raises TandemError where it fails.

    It ends with this process, also where that is killed.
    """
    properties = [part for name, value in spark_conf(settings).items() for part in ("--conf", f"{name}={value}")]
    # spark-submit looks for PySpark with a Python of its own choice: without a .venv on PATH, the wrong one.
    python = {"PYSPARK_PYTHON": sys.executable, "JAVA_HOME": str(java_home())}
    job = subprocess.Popen(
        [_spark_submit(), *properties, str(Path(__file__).with_name(f"{target}.py")), *arguments],
        env={**os.environ, **environment(settings), **python, **caller.named()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # as spark-submit itself does with what a Python job says
        text=True,
    )
    try:
        last = _relay(job)
        if job.wait() != 0 and last.startswith(_OUT_OF_MEMORY):
            remedy = f"raise TANDEM_SPARK_DRIVER_MEMORY, which is {settings.spark_driver_memory}, and do it again"
            raise TandemError("the Spark application ran out of memory", remedy)
        if job.returncode != 0:
            raise TandemError("the Spark application failed", last.removeprefix(f"{target}: ") or "it said nothing")
    finally:
        job.terminate()
        job.wait()


def _relay(job: subprocess.Popen[str]) -> str:
    """Pass on what the job says, but for noise; returns its last words, be there a stack trace after them.

    What Spark says after it has run out of memory follows from that, and does not name it.
    """
    last = ""
    for line in job.stdout or ():
        if _NOISE not in line and line.strip():
            sys.stderr.write(line)
            sys.stderr.flush()
            last = last if line[0].isspace() or last.startswith(_OUT_OF_MEMORY) else line.strip()
    return last


def _spark_submit() -> str:
    """The spark-submit of the PySpark beside this interpreter."""
    beside = Path(sys.executable).with_name("spark-submit")
    return str(beside) if beside.exists() else "spark-submit"
