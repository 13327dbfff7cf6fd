"""The command that started an application: once it is gone, so is the application, be it by ``kill -9``.

A command's claims end with it, and the next one may work on the same dates. spark-submit knows nothing of that: it and
the driver would go on to their end. The driver looks, because nothing else in the chain is ours; the JVM ends with it.
"""

from __future__ import annotations

import os
import time
from threading import Thread

import psutil

_VARIABLE = "SPARK_JOB_CALLER"
_LOOK_EVERY_S = 0.5


def named() -> dict[str, str]:
    """This process as the caller, for the environment of what it starts."""
    return {_VARIABLE: str(os.getpid())}


def end_with_caller() -> None:
    """End this process at once when its caller is gone. Nothing where none is named, as in a spark-submit by hand."""
    if pid := os.environ.get(_VARIABLE):
        Thread(target=_watch, args=(int(pid),), name="caller", daemon=True).start()


def _watch(pid: int) -> None:
    try:
        caller = psutil.Process(pid)
        # One that was killed and that nobody has asked after is still in the list.
        while caller.is_running() and caller.status() != psutil.STATUS_ZOMBIE:
            time.sleep(_LOOK_EVERY_S)
    except psutil.NoSuchProcess:
        pass
    os._exit(1)
