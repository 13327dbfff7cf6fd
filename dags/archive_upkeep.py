"""### The upkeep of the archive, and of the stream's journal

Runs at 04:30 in the business time zone, when the night's dates are done. Puts the small files together that the
archiver has written through the day, takes dates out that are past their retention (none unless
`TANDEM_ARCHIVE_RETENTION` is set), and deletes files that have been out of the table for a week. Beside that, the
stream's journal lets go of what is past `TANDEM_JOURNAL_RETENTION` and no date needs any more.

No row is ever changed, the archiver and the Spark jobs go on meanwhile, and a task that is killed or cleared can be run
again at any moment. On the command line the same is `tandem archive compact`, `retain` and `vacuum`, and
`tandem stream retain`.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import CronTriggerTimetable, dag, task
from tandem_dags import EVERY_DAG


@task
def compact() -> dict[str, Any]:
    """Put the small files of each date together. Returns how many they were, and are."""
    from dataclasses import asdict
    from datetime import UTC, datetime

    from stream import archive_upkeep as upkeep
    from tandem.settings import settings

    return asdict(upkeep.compact(settings(), datetime.now(UTC), print))


@task
def retain() -> dict[str, Any]:
    """Take the dates out that are past their retention. Returns what went, and the first date that is left whole."""
    from dataclasses import asdict
    from datetime import UTC, datetime

    from stream import archive_upkeep as upkeep
    from tandem.settings import settings

    return {**asdict(done := upkeep.retain(settings(), datetime.now(UTC))), "kept_from": str(done.kept_from)}


@task
def vacuum() -> int:
    """Delete the files that are in the table no more, or never were. Returns how many."""
    from stream import archive_upkeep as upkeep
    from tandem.settings import settings

    return upkeep.vacuum(settings())


@task
def retain_journal() -> dict[str, Any]:
    """Let the stream's journal go of what no date needs any more. Returns what went, and which dates hold the rest."""
    from datetime import UTC, datetime

    from stream import journal_upkeep as upkeep
    from tandem import documents
    from tandem.settings import settings

    return documents.plain(upkeep.retain(settings(), datetime.now(UTC), print))


@dag(
    **EVERY_DAG,
    schedule=CronTriggerTimetable("30 4 * * *", timezone=os.environ.get("TANDEM_BUSINESS_TIMEZONE", "UTC")),
    doc_md=__doc__,
    tags=["tandem", "operations"],
)
def archive_upkeep() -> None:
    """The wiring: when, never how."""
    compact() >> retain() >> vacuum()
    retain_journal()


archive_upkeep()
