"""What every task does when it ends well: it looks whether it had failed, and only where it had is there more to do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from reconciliation import mail
from tandem.local import mail as catcher
from tandem.local import mailbox, process
from tandem.settings import PROJECT_ROOT, Settings

pytestmark = pytest.mark.integration
PLACE = {"dag_id": "nightly", "task_id": "cut", "business_date": "2017-12-23"}
ENDS_WELL = f"""
import sys
from types import SimpleNamespace

sys.path.insert(0, "dags/plugins")
import tandem_dags

pulled = {{"claim": "{PLACE["business_date"]}"}}
ti = SimpleNamespace(dag_id="nightly", task_id="cut", xcom_pull=lambda task_ids: pulled[task_ids])
tandem_dags.tell_recovery({{"ti": ti}})
print("polars" in sys.modules)
"""


@pytest.fixture
def office(clean_database: Settings) -> Iterator[Settings]:
    catcher.start(clean_database)
    yield clean_database
    process.stop(clean_database, catcher.NAME)
    for kept in mailbox.mails(mailbox.folder(clean_database)):
        kept.path.unlink()


def loads_polars_to_end_well() -> bool:
    """The callback in a process of its own, as a task has one."""
    done = subprocess.run(
        [sys.executable, "-c", ENDS_WELL], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1] == "True"


def test_a_task_that_had_not_failed_loads_no_engine_to_say_so_and_one_that_had_mails_once(office: Settings) -> None:
    assert not loads_polars_to_end_well()
    mail.send_failure(office, **PLACE, error="no space left on device")
    assert loads_polars_to_end_well()
    assert not loads_polars_to_end_well()
    assert sorted(kept.subject for kept in mailbox.mails(mailbox.folder(office))) == [
        "[Tandem] nightly failed at cut for 2017-12-23",
        "[Tandem] nightly is resolved: cut for 2017-12-23 went through",
    ]
