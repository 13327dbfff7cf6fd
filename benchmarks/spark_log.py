"""Where the time of a Spark application goes, by the log of events that it writes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Phases:
    """Seconds of one spark-submit. ``starts``: until a session is up; ``works``: while a Spark job runs; ``rest``: in
    between, where queries are planned and compiled, versions committed, and Postgres and Delta's log are asked.
    """

    total: float
    starts: float
    works: float
    jobs: int

    @property
    def rest(self) -> float:
        """What is neither start nor work."""
        return self.total - self.starts - self.works

    def figures(self) -> dict[str, float]:
        """For JSON."""
        named = {"total": self.total, "spark_starts": self.starts, "spark_works": self.works, "rest": self.rest}
        return {**{name: round(value, 1) for name, value in named.items()}, "spark_jobs": self.jobs}


def java_options(folder: Path) -> str:
    """Options for the driver under which an application writes its log into the folder."""
    conf = {"enabled": "true", "dir": folder.as_uri(), "compress": "false", "rolling.enabled": "false"}
    return " ".join(f"-Dspark.eventLog.{name}={value}" for name, value in conf.items())


def phases(log: Path, started: float, ended: float) -> Phases:
    """Of an application whose spark-submit ran from ``started`` to ``ended``, in seconds since 1970."""
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    up = next(e["Timestamp"] for e in events if e["Event"] == "SparkListenerBlockManagerAdded") / 1000
    begins = {e["Job ID"]: e["Submission Time"] / 1000 for e in events if e["Event"] == "SparkListenerJobStart"}
    ends = {e["Job ID"]: e["Completion Time"] / 1000 for e in events if e["Event"] == "SparkListenerJobEnd"}
    spans = sorted((begins[job], ends[job]) for job in ends)
    return Phases(ended - started, up - started, _covered(spans), len(spans))


def _covered(spans: list[tuple[float, float]]) -> float:
    """How long at least one of the spans lasted."""
    total, reached = 0.0, 0.0
    for begin, end in spans:
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total
