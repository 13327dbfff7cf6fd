"""The batch jobs of a date as a person would write them for DuckDB: the same tables from the same files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
from deltalake import DeltaTable
from psycopg import sql

from spark_jobs.rfm_grids import grids
from tandem.local import postgres
from tandem.master_dataset import UNKNOWN
from tandem.settings import Settings

TABLES = {
    "daily_metrics": ("daily_metrics", "order_hours", "product_hours", "category_hours"),
    "rfm": ("rfm",),
    "product_rankings": ("product_rankings",),
}
"""What each script leaves behind."""
SCHEMA = "peer"


@dataclass(frozen=True, slots=True)
class Batch:
    """DuckDB at work on one date. ``folder``: for facts and files on the way, deleted by whoever made it."""

    duck: duckdb.DuckDBPyConnection
    folder: Path
    day: date

    def facts(self, records: Sequence[str], earlier: Sequence[str]) -> Path:
        """The facts of the date as a Parquet file; ``records``: files of the archive, ``earlier``: facts before."""
        none = self.folder / "none.parquet"
        self.duck.execute(f"COPY (SELECT '' AS order_id, '' AS event_type, '' AS decision LIMIT 0) TO '{none}'")
        self._run("facts", records=records, earlier=[str(none), *earlier])
        made = self.folder / f"facts-{self.day}.parquet"
        self.duck.execute(f"COPY facts TO '{made}' (FORMAT parquet)")
        return made

    def daily_metrics(self, of_day: Sequence[str]) -> None:
        """The date's KPIs and cells."""
        self._run("daily_metrics", of_day=of_day)

    def rfm(self, history: Sequence[str]) -> None:
        """The date's segments, from the facts of every date."""
        self._run("rfm", history=history)

    def product_rankings(self, two_days: Sequence[str]) -> None:
        """The date's rankings, from its facts and those of the day before."""
        self._run("product_rankings", two_days=two_days)

    def store(self, script: str, admin: psycopg.Connection[Any]) -> None:
        """Put a script's tables into Postgres, where they have the columns and keys of the batch layer's own."""
        for table in TABLES[script]:
            file = self.folder / f"{table}.csv"
            self.duck.execute(f"COPY {table} TO '{file}' (HEADER false)")
            columns = [name for name, *_ in self.duck.execute(f"DESCRIBE {table}").fetchall()]
            into = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
                sql.Identifier(SCHEMA, table), sql.SQL(", ").join(map(sql.Identifier, columns))
            )
            with admin.cursor().copy(into) as copy, file.open("rb") as rows:
                while part := rows.read(1 << 20):
                    copy.write(part)
            file.unlink()

    def _run(self, script: str, **files: Sequence[str]) -> None:
        self.duck.execute("SET VARIABLE day = $day::DATE", {"day": self.day})
        for name, listed in files.items():
            self.duck.execute(f"SET VARIABLE {name} = $files::VARCHAR[]", {"files": list(listed)})
        self.duck.execute(Path(__file__).with_name(f"{script}.sql").read_text(encoding="utf-8"))


def begin(folder: Path, day: date, *, threads: int = 2, memory: str = "4GB") -> Batch:
    """A DuckDB for the date, with its grids; what does not fit into memory goes into the folder."""
    duck = duckdb.connect(config={"threads": threads, "memory_limit": memory, "temp_directory": str(folder / "spill")})
    duck.execute("SET TimeZone = 'UTC'")
    duck.execute("SET enable_progress_bar = false")  # it goes to stdout, which is for the JSON
    scores = ("recency_score", "frequency_score", "monetary_score")
    cells = [
        {**dict(zip(scores, cell, strict=True)), "grid": grid.name, "grid_version": grid.version, "segment": segment}
        for grid in grids()
        for cell, segment in grid.segments.items()
    ]
    duck.register("listed_cells", pa.Table.from_pylist(cells))
    duck.execute("CREATE TEMP TABLE segment_of AS FROM listed_cells")
    return Batch(duck, folder, day)


def records(settings: Settings, day: date) -> list[str]:
    """The archive's files of a date, and of no date."""
    table = DeltaTable(settings.archive)
    return table.file_uris(file_pruning_predicate=[("business_date", "in", [str(day), UNKNOWN])])


def drop_tables(admin: psycopg.Connection[Any]) -> None:
    """Drop what ``make_tables`` made, if anything."""
    admin.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(SCHEMA)))


def make_tables(settings: Settings) -> None:
    """Empty tables like the batch layer's, keys and all."""
    with postgres.connect_admin(settings, settings.postgres_database) as admin:
        drop_tables(admin)
        admin.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(SCHEMA)))
        for table in (name for tables in TABLES.values() for name in tables):
            like = sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)")
            admin.execute(like.format(sql.Identifier(SCHEMA, table), sql.Identifier("batch", table)))
            has_run = sql.SQL("ALTER TABLE {} ALTER run_id SET DEFAULT 'duckdb'")
            admin.execute(has_run.format(sql.Identifier(SCHEMA, table)))


def differing(settings: Settings, run_id: str) -> dict[str, int]:
    """Rows that only one of the two has, by table: those of a run of the batch layer, and the peer's."""
    found = {}
    with postgres.connect_admin(settings, settings.postgres_database) as admin:
        for table in (name for tables in TABLES.values() for name in tables):
            columns = [name for (name,) in admin.execute(_COLUMNS, (table,)) if name not in {"run_id", "computed_at"}]
            query = sql.SQL(
                "WITH ours AS (SELECT {columns} FROM batch.{table} WHERE run_id = %s),"
                " theirs AS (SELECT {columns} FROM {schema}.{table})"
                " SELECT count(*) FROM"
                " ((TABLE ours EXCEPT TABLE theirs) UNION ALL (TABLE theirs EXCEPT TABLE ours)) AS of_one"
            ).format(
                columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
                table=sql.Identifier(table),
                schema=sql.Identifier(SCHEMA),
            )
            (found[table],) = admin.execute(query, (run_id,)).fetchone() or (0,)
    return found


_COLUMNS = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'batch' AND table_name = %s"
