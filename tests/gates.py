"""What a gate has found, for tests of what comes after it."""

from __future__ import annotations

from spark_jobs import gate, runs
from spark_jobs.gate_suites import Level
from tandem.settings import Settings


def passes(settings: Settings, run_id: str) -> None:
    """The gate of a run finds nothing wrong with the facts that it has now."""
    finds(settings, run_id, fault=False)


def finds(settings: Settings, run_id: str, *, fault: bool) -> None:
    """The gate of a run finds a fault in the facts that it has now, or none."""
    run = runs.find(settings, run_id)
    assert run is not None
    found = gate.Result("order_facts", "order ids are unique", Level.FAIL, not fault, "", ())
    gate.store(settings, run_id, run.business_date, [found], run.facts_version)
