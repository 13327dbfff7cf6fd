"""One business date as both layers keep it: the stream's journal and cut, the batch layer's order_facts and cells.

Orders have the real baskets of benchmarks/orders.py, but are made by columns and written where the layers would have
put them: decoding and folding are other benchmarks' matter. Every kind of difference is planted in a known few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import deltalake
import numpy as np
import polars as pl
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import sql

from benchmarks.orders import CUSTOMERS_PER_HOUSEHOLD, basket_rows
from tandem import database, journal, kpis
from tandem.checks import RULE_VERSION
from tandem.events import Decision, EventType
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

DAY = date(2026, 11, 1)
RUN = f"{DAY}.20261102T020000Z.bench0"
PARTITIONS = 12
AT_ONCE = 200_000
"""Orders that are in memory at the same time."""
_FACTS_A_FILE = 400_000
EVERY = 10_000
"""In so many orders there is one of each planted kind."""
KINDS = ("late", "duplicate", "quarantined", "missing_in_stream", "missing_in_batch", "unlike")
"""``unlike``: the layers have different amounts."""
_START = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
_FIRST_KIND, _APART = 1_000, 1_501  # prime to the number of partitions, so that every partition has all kinds
_FACTS = (
    "run_id", "partition", "offset", "kafka_time", "event_id", "event_type", "event_time", "order_id", "customer_id",
    "total_cents", "previous_total_cents", "units", "items", "decision", "reasons", "payment_method", "region",
    "business_date",
)  # fmt: skip
"""The columns of spark_jobs.facts, which needs Spark to be imported."""
_BOOKED = ("partition", "offset", "order_id", "event_type", "cents", "units", "customer_id", "hour")


@dataclass(frozen=True, slots=True)
class Written:
    """What stands in the layers. ``planted``: differing orders by kind."""

    orders: int
    planted: dict[str, int]
    journal_bytes: int
    facts_bytes: int
    cells: int


def write(settings: Settings, orders: int, segment_events: int, booked: Path, say: Callable[[str], None]) -> Written:
    """Write the date. ``booked``: a folder for what each side booked, as flat Parquet files for the peers."""
    names = {side: booked / side for side in ("speed", "batch")}
    for folder in names.values():
        folder.mkdir(parents=True)
    cells: dict[str, list[pl.DataFrame]] = {"speed": [], "batch": []}
    customers = {"speed": 0, "batch": 0}
    planted: dict[str, int] = {}
    facts = _Facts(orders, booked / "facts")
    with database.connect(settings, database.OWNER) as owner:
        for partition in range(PARTITIONS):
            seen: dict[str, list[pl.Series]] = {"speed": [], "batch": []}
            for number, rows in enumerate(_chunks(partition, orders)):
                _write_journal(owner, rows, segment_events)
                facts.add(rows)
                for side, of_side in (("speed", _speed(rows)), ("batch", _batch(rows))):
                    counted = of_side.filter(decision=Decision.COUNTED)
                    counted.select(_BOOKED).write_parquet(names[side] / f"{partition:02}-{number:03}.parquet")
                    cells[side] += [_cells(counted, cube) for cube in kpis.CUBES]
                    seen[side].append(counted["customer_id"].unique())
                for kind, count in rows["kind"].drop_nulls().value_counts().iter_rows():
                    planted[kind] = planted.get(kind, 0) + count
            for side, parts in seen.items():
                customers[side] += pl.concat(parts).n_unique()  # a customer is of one partition
            say(f"partition {partition + 1} of {PARTITIONS} written")
        facts.write(settings)
        _write_cut(owner, orders, _summed(cells["speed"]), customers["speed"])
        batch = _summed(cells["batch"])
        _write_run(owner, deltalake.DeltaTable(settings.order_facts).version(), batch, customers["batch"])
        (size,) = owner.execute("SELECT sum(octet_length(segment)) FROM speed.journal").fetchone() or (0,)
    with database.connect(settings, database.OWNER, autocommit=True) as owner:
        owner.execute("ANALYZE")
    facts_bytes = sum(path.stat().st_size for path in Path(settings.order_facts).rglob("*.parquet"))
    return Written(orders, planted, int(size), facts_bytes, sum(len(cells) for cells in batch.values()))


def _chunks(partition: int, orders: int) -> Iterator[pl.DataFrame]:
    """The orders of a partition by offset, with the ``kind`` of what was planted."""
    last = len(range(partition, orders, PARTITIONS))
    for first in range(0, last, AT_ONCE):
        yield _orders(partition, range(first, min(first + AT_ONCE, last)), orders)


def _orders(partition: int, offsets: range, orders: int) -> pl.DataFrame:
    chance = np.random.default_rng([partition, offsets.start])
    count = len(offsets)
    baskets = _baskets()
    per_partition = 2_469 * CUSTOMERS_PER_HOUSEHOLD // PARTITIONS
    drawn = pl.DataFrame(
        {
            "offset": np.arange(offsets.start, offsets.stop),
            "buyer": chance.integers(0, per_partition, count) * PARTITIONS + partition,
            "hexed": _hexed(chance, count),
        }
    )
    number = pl.col("offset") * PARTITIONS + partition
    every = timedelta(days=1) / orders
    place = number % EVERY
    kind = pl.lit(None, pl.String)
    for nth, name in enumerate(KINDS):
        kind = pl.when(place == _FIRST_KIND + nth * _APART).then(pl.lit(name)).otherwise(kind)
    rows = drawn.with_columns(
        baskets[chance.integers(0, len(baskets), count)],
        kind=kind,
        number=number,
        event_time=pl.lit(_START).dt.cast_time_unit("us")
        + (number * (every / timedelta(microseconds=1))).cast(pl.Int64).cast(pl.Duration("us")),
    )
    digits = [pl.col("hexed").str.slice(at, length) for at, length in ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12))]
    # A repeated order is the one before of its partition under an event id of its own.
    order = pl.when(pl.col("kind") == "duplicate").then(pl.col("number") - PARTITIONS).otherwise("number")
    return rows.select(
        "offset",
        "kind",
        "event_time",
        "total_cents",
        "units",
        "items",
        "region",
        partition=pl.lit(partition, pl.Int32),
        event_id=pl.concat_str(digits, separator="-"),
        event_type=pl.lit(EventType.ORDER_CREATED.value),
        order_id=pl.format("order-{}", order.cast(pl.String).str.zfill(12)),
        customer_id=pl.format(
            "{}-{}", pl.col("buyer") // CUSTOMERS_PER_HOUSEHOLD, pl.col("buyer") % CUSTOMERS_PER_HOUSEHOLD
        ),
        hour=pl.col("event_time").dt.truncate("1h"),
    )


def _hexed(chance: np.random.Generator, count: int) -> list[str]:
    """32 digits each."""
    digits = chance.bytes(16 * count).hex()
    return [digits[at : at + 32] for at in range(0, len(digits), 32)]


@cache
def _baskets() -> pl.DataFrame:
    """total_cents, units, items and region of every basket."""
    lines = basket_rows().with_row_index("basket").explode("product_id", "product_category", "quantity", "cents")
    item = pl.struct(
        product_id=pl.col("product_id").cast(pl.String),
        category=pl.col("product_category").fill_null("OTHER"),
        quantity=pl.col("quantity").cast(pl.Int64),
        amount_cents="cents",
    )
    return (
        lines.group_by("basket", maintain_order=True)
        .agg(
            total_cents=pl.col("total").first(),
            units=pl.col("quantity").sum().cast(pl.Int64),
            items=item,
            region=pl.format("store {}", pl.col("store_id").first()),
        )
        .drop("basket")
    )


def _is(*kinds: str) -> pl.Expr:
    return pl.col("kind").is_in(kinds).fill_null(value=False)


def _speed(rows: pl.DataFrame) -> pl.DataFrame:
    """What the stream decided."""
    return rows.filter(~_is("missing_in_stream")).with_columns(
        cents="total_cents",
        decision=pl.when(_is("late")).then(pl.lit(Decision.LATE)).otherwise(pl.lit(Decision.COUNTED)),
    )


def _batch(rows: pl.DataFrame) -> pl.DataFrame:
    """What the batch layer decided."""
    decision = pl.when(_is("duplicate")).then(pl.lit(Decision.DUPLICATE))
    decision = decision.when(_is("quarantined")).then(pl.lit(Decision.QUARANTINED)).otherwise(pl.lit(Decision.COUNTED))
    total = pl.col("total_cents") + _is("unlike").cast(pl.Int64)
    return rows.filter(~_is("missing_in_batch")).with_columns(decision=decision, total_cents=total, cents=total)


def _write_journal(owner: psycopg.Connection[Any], rows: pl.DataFrame, segment_events: int) -> None:
    decided = _speed(rows).with_columns(
        reasons=pl.lit(""),
        watermark=pl.when(_is("late")).then(pl.col("event_time") + timedelta(hours=2)).otherwise("event_time"),
    )
    statement = """COPY speed.journal (topic, partition, first_offset, next_offset, events, min_business_date,
                   max_business_date, epoch, rule_version, segment) FROM STDIN"""
    first, end = rows["offset"][0], rows["offset"][-1] + 1
    starts = range(first, end, segment_events)
    ranges = [(start, min(start + segment_events, end)) for start in starts]
    held = decided["offset"].search_sorted(pl.Series([*starts, end]))
    lengths = held.diff().drop_nulls().cast(pl.Int64).to_list()
    segments = journal.encode_each(decided.select(journal.SCHEMA.names).to_arrow(), lengths)
    with owner.cursor() as cursor, cursor.copy(statement) as copy:
        for (start, after), events, segment in zip(ranges, lengths, segments, strict=True):
            where = (ORDER_EVENTS, rows["partition"][0], start, after, events)
            copy.write_row((*where, DAY, DAY, 1, RULE_VERSION, segment))


class _Facts:
    """order_facts as Spark leaves them after it has looked for duplicates: every file has a little of everything."""

    def __init__(self, orders: int, folder: Path) -> None:
        folder.mkdir()
        self._files = [folder / f"{number}.parquet" for number in range(-(-orders // _FACTS_A_FILE))]
        self._writers: dict[int, pq.ParquetWriter] = {}

    def add(self, rows: pl.DataFrame) -> None:
        """Put them aside, by the file they will be in."""
        facts = _batch(rows).with_columns(
            run_id=pl.lit(RUN),
            kafka_time=pl.col("event_time"),
            previous_total_cents=pl.lit(None, pl.Int64),
            reasons=pl.when(pl.col("decision") == Decision.QUARANTINED)
            .then(pl.lit("INVALID_ITEM"))
            .otherwise(pl.lit("")),
            payment_method=pl.lit("card"),
            business_date=pl.lit(DAY),
        )
        of_file = facts.select(*_FACTS, file=pl.col("event_id").hash() % len(self._files))
        for (file,), part in of_file.partition_by("file", as_dict=True, include_key=False).items():
            table = part.to_arrow()
            table = table.cast(pa.schema([_plain(field) for field in table.schema]))
            if file not in self._writers:
                self._writers[file] = pq.ParquetWriter(self._files[file], table.schema)
            self._writers[file].write_table(table)

    def write(self, settings: Settings) -> None:
        """Write the table, in no order."""
        for writer in self._writers.values():
            writer.close()
        for number in self._writers:
            table = pq.read_table(self._files[number])
            table = table.take(np.random.default_rng(number).permutation(table.num_rows))
            deltalake.write_deltalake(settings.order_facts, table, partition_by=["business_date"], mode="append")
            self._files[number].unlink()


def _plain(field: pa.Field) -> pa.Field:
    """Without polars' large types, which Delta does not keep."""
    if pa.types.is_large_list(field.type):
        return pa.field(field.name, pa.list_(pa.struct([_plain(inner) for inner in field.type.value_type])))
    return pa.field(field.name, pa.string()) if pa.types.is_large_string(field.type) else field


def _cells(counted: pl.DataFrame, cube: kpis.Cube) -> pl.DataFrame:
    """Sums of a cube by hour and key."""
    if cube.rows != "lines":
        sums = {
            "revenue_cents": pl.col("cents").sum(),
            "order_count": pl.len().cast(pl.Int64),
            "units": pl.col("units").sum(),
        }
        return counted.group_by("hour", key=pl.lit("")).agg(**sums).with_columns(cube=pl.lit(cube.name))
    lines = counted.select("offset", "hour", "items").explode("items").unnest("items")
    return (
        lines.group_by("hour", pl.col(cube.key).alias("key"))
        .agg(
            revenue_cents=pl.col("amount_cents").sum(),
            order_count=pl.col("offset").n_unique().cast(pl.Int64),
            units=pl.col("quantity").sum(),
        )
        .with_columns(cube=pl.lit(cube.name))
    )


def _summed(parts: list[pl.DataFrame]) -> dict[str, pl.DataFrame]:
    sums = pl.concat(parts).group_by("cube", "hour", "key").agg(pl.col("revenue_cents", "order_count", "units").sum())
    return {str(name): rows for (name,), rows in sums.partition_by("cube", as_dict=True).items()}


def _copy(owner: psycopg.Connection[Any], table: str, rows: pl.DataFrame, **same: object) -> None:
    """``same``: columns that are alike in all rows."""
    schema, name = table.split(".")
    rows = rows.with_columns(pl.lit(value).alias(column) for column, value in same.items())
    columns = sql.SQL(", ").join(map(sql.Identifier, rows.columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(sql.Identifier(schema, name), columns)
    with owner.cursor() as cursor, cursor.copy(statement) as copy:
        for piece in rows.iter_slices(AT_ONCE):
            copy.write(piece.write_csv(include_header=False, quote_style="non_numeric").encode())


def _copy_cells(owner: psycopg.Connection[Any], prefix: str, cells: dict[str, pl.DataFrame], **same: object) -> None:
    for cube in kpis.CUBES:
        names = {"hour": "cell_start", "key": cube.key or ""}
        rows = cells[cube.name].drop("cube", *([] if cube.key else ["key"])).rename(names, strict=False)
        _copy(owner, f"{prefix}{cube.hour_table}", rows, **same)


def _write_cut(owner: psycopg.Connection[Any], orders: int, cells: dict[str, pl.DataFrame], customers: int) -> None:
    """Where both layers are compared, and the stream's sums there."""
    ends = [(partition, len(range(partition, orders, PARTITIONS))) for partition in range(PARTITIONS)]
    offsets = pl.DataFrame(ends, schema=["partition", "next_offset"], orient="row")
    cut = pl.DataFrame({"business_date": [DAY], "comparable": [True], "rule_version": [RULE_VERSION]})
    _copy(owner, "speed.partitions", offsets, topic=ORDER_EVENTS)
    _copy(owner, "reconciliation.cuts", cut, run_id=RUN)
    _copy(owner, "reconciliation.cut_offsets", offsets, run_id=RUN, topic=ORDER_EVENTS)
    _copy_cells(owner, "reconciliation.cut_", cells, run_id=RUN)
    distinct = pl.DataFrame({"measure": [kpis.UNIQUE_CUSTOMERS.name], "value": [customers]})
    _copy(owner, "reconciliation.cut_distincts", distinct, run_id=RUN)


def _write_run(
    owner: psycopg.Connection[Any], facts_version: int, cells: dict[str, pl.DataFrame], customers: int
) -> None:
    """A published batch run."""
    sums = cells[kpis.ORDERS.name].select("revenue_cents", "order_count", "units").sum().row(0, named=True)
    measured = {measure.name: sums.get(measure.name, 0) for measure in kpis.measures_of(kpis.ORDERS)}
    figures = kpis.daily_kpis(measured, {kpis.UNIQUE_CUSTOMERS.name: customers})
    run = {"kind": "manual", "code_version": "benchmark", "rule_version": RULE_VERSION, "archive_version": 1}
    of_run = {"run_id": RUN, "business_date": DAY}
    _copy(owner, "batch.runs", pl.DataFrame({"facts_version": [facts_version]}), **of_run, **run)
    _copy_cells(owner, "batch.", cells, **of_run)
    _copy(owner, "batch.daily_metrics", pl.DataFrame({name: [value] for name, value in figures.items()}), **of_run)
    version = pl.DataFrame({"version": [1]})
    _copy(owner, "batch.versions", version, **of_run, view="daily_metrics")
