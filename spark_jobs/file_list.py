"""What a Delta table's list of files says of it, without a look into any of them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from deltalake import DeltaTable


def records_by_date(table: DeltaTable) -> dict[Any, int]:
    """How many records lie under each value of ``business_date``, which has the type of the table's column.

    Raises DeltaError or OSError where the table cannot be read.
    """
    files = pa.table(table.get_add_actions(flatten=True))
    totals = files.group_by("partition.business_date").aggregate([("num_records", "sum")]).to_pylist()
    return {row["partition.business_date"]: row["num_records_sum"] for row in totals}


def names_by_date(table: DeltaTable) -> dict[Any, str]:
    """A hash of the names of the files under each value of ``business_date``: another one, and other files hold it."""
    files = pa.table(table.get_add_actions(flatten=True))
    names: dict[Any, list[str]] = defaultdict(list)
    for day, path in zip(files["partition.business_date"].to_pylist(), files["path"].to_pylist(), strict=True):
        names[day].append(path)
    return {day: hashlib.sha256(" ".join(sorted(paths)).encode()).hexdigest() for day, paths in names.items()}
