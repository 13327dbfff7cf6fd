"""The project with its declarations changed: a copy of its packages, and a database that its columns end with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tandem import database
from tandem.local import postgres as local_postgres
from tandem.local import process
from tandem.settings import PROJECT_ROOT, Settings

PACKAGES = ("tandem", "stream", "spark_jobs", "reconciliation", "sql")
END_OF_ORDERS = "    )\n    lines = tuple(\n"
"""Of the measures of the orders cube in ``tandem/kpis.py``."""
DISCOUNT = """        Measure(
            "discount_cents", ORDERS, created, "items_cents - total_cents", Unit.CENTS, "what the lines cost more"
        ),
    )
    lines = tuple(
"""
KPIS = "KPIS: tuple[Kpi, ...] = (\n"
KPI = f"""{KPIS}    Kpi("discount_cents", "discount given", Unit.CENTS, "discount_cents"),
"""


@pytest.fixture
def own_database(topic_prefix: Settings, clean_database: Settings) -> Iterator[Settings]:
    """A migrated database of the test's own, so that its columns end with it."""
    own = topic_prefix.model_copy(update={"postgres_database": "declared"})
    local_postgres._ensure_databases(own)
    database.migrate(own)
    yield own
    with local_postgres.connect_admin(own) as admin:
        admin.execute("DROP DATABASE declared WITH (FORCE)")


def changed_copy(folder: Path, file: str, *changes: tuple[str, str]) -> Path:
    """The packages in ``folder``, one file of them changed."""
    for package in PACKAGES:
        shutil.copytree(PROJECT_ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    text = (folder / file).read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    (folder / file).write_text(text, encoding="utf-8")
    return folder


def ended(folder: Path, own: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python with these arguments, over the packages in ``folder``, however it ended."""
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **process.environment(own), "PYTHONPATH": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def run(folder: Path, own: Settings, *arguments: str) -> str:
    done = ended(folder, own, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def migrate(folder: Path, own: Settings) -> None:
    """As ``tandem up`` of the copy does."""
    where = run(folder, own, "-c", "import tandem, stream; print(tandem.__file__, stream.__file__)")
    assert where.split() == [str(folder / package / "__init__.py") for package in ("tandem", "stream")]
    run(folder, own, "-c", "from tandem import database, settings; database.migrate(settings.settings())")


def work(folder: Path, own: Settings) -> None:
    """A worker of the copy, until nothing is left."""
    run(folder, own, "-m", "stream", "--until-caught-up")
