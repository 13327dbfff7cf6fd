"""The gate between order facts and publication: Great Expectations over one date, without Spark.

Usage: python -m spark_jobs.gate --run-id ID --date 2017-12-23
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from spark_jobs import gate_page, runs
from spark_jobs.gate_suites import ARCHIVE, FACTS, Expectation, Level, Suite
from tandem import database, delta, facts_table, master_dataset, pages, payloads
from tandem.errors import TandemError
from tandem.events import Decision
from tandem.master_dataset import UNKNOWN
from tandem.topics import ORDER_EVENTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from spark_jobs.runs import Run
    from tandem.settings import Settings

_POSITION = ["partition", "offset"]
_LOOKED_INTO = 10_000
"""So many records without a row are looked into; more are no accident."""
_ROWS_KEPT = 100
"""Failing rows that are stored and shown per expectation; the count is of all."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one expectation. ``failing_rows``: partition and offset of the first that do not meet it."""

    suite: str
    expectation: str
    level: Level
    success: bool
    observed: str
    failing_rows: tuple[dict[str, Any], ...]


class GateFailed(TandemError):  # noqa: N818 - what happened to the gate, as people say it
    """An expectation of level fail does not hold: nothing may be published."""


def check(settings: Settings, run_id: str, business_date: date) -> list[Result]:
    """Hold the run's facts against every expectation and store the results. Raises GateFailed, and GoneError where
    retention has taken the date's records since the facts were written.

    What was found of a run that is published stays: by now the archive may have let go of its records.
    """
    if runs.publications(settings, run_id) and (kept := _kept(settings, run_id, business_date)):
        return kept
    run = runs.find(settings, run_id)
    if run is None or run.facts_version is None:
        raise TandemError(f"run {run_id} has no order facts", "run the order_facts job with this run id first")
    facts_table.require_same(settings)
    of_facts, of_archive = frames(settings, run, business_date)
    results = judge({FACTS.name: of_facts, ARCHIVE.name: of_archive}, (FACTS, ARCHIVE))
    store(settings, run_id, business_date, results, run.facts_version)
    gate_page.keep(settings, gate_page.read(settings, business_date, run_id))
    if failed := [result for result in results if result.level is Level.FAIL and not result.success]:
        shown = "; ".join(f"{r.expectation} ({r.observed}{_first_rows(r)})" for r in failed)
        raise GateFailed(
            f"the gate of {business_date} failed: {shown}",
            f"see the rows at {pages.address(settings, pages.Kind.GATES, run_id)}",
        )
    return results


def ensure(settings: Settings, run_id: str, business_date: date) -> None:
    """Check a run unless a gate has checked the very facts that it has, as of the run that it has them from.

    Raises GateFailed.
    """
    with database.connect(settings, database.BATCH) as connection:
        checked = connection.execute(database.queries("batch").checked, {"run_id": run_id}).fetchone()
    if checked is None:
        check(settings, run_id, business_date)


def _kept(settings: Settings, run_id: str, business_date: date) -> list[Result]:
    values = {"run_id": run_id, "business_date": business_date}
    with database.connect(settings, database.READER) as connection:
        rows = connection.execute(database.queries("batch").gate_page, values).fetchall()
    return [
        Result(suite, expectation, Level(level), success, observed, tuple(failing))
        for _, suite, expectation, level, success, observed, failing, _ in rows
    ]


def frames(settings: Settings, run: Run, business_date: date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The date's facts with what the suites ask of them, and its archived records with whether they have a row.

    Raises GoneError where retention has taken the date's records since its facts were written.
    """
    rows = pl.DataFrame(_read(settings.order_facts, run.facts_version, [("business_date", "=", str(business_date))]))
    archived = _archived(settings, run, [str(business_date)])
    # Asked once they are read: what goes meanwhile would be rows that come from nowhere.
    master_dataset.require_kept(master_dataset.kept_from(delta.at(settings.archive, None)), business_date)
    known = pl.concat([archived, _archived(settings, run, [UNKNOWN])]).with_columns(archived=pl.lit(value=True))
    cut = pl.DataFrame(list((run.cut or {}).items()), {"partition": pl.Int32, "next_offset": pl.Int64}, orient="row")
    checked = (
        rows.join(known.unique(_POSITION), on=_POSITION, how="left")
        .join(cut, on="partition", how="left")
        .with_columns(
            pl.col("archived").fill_null(value=False),
            (pl.col("offset") < pl.col("next_offset")).fill_null(value=False).alias("below_cut"),
            (pl.col("decision") == Decision.QUARANTINED).cast(pl.Int64).alias("quarantined"),
        )
        .drop("items", "next_offset")
        .with_columns(items=pl.lit(None, pl.String))
    )
    have_rows = rows.select(*_POSITION, in_facts=pl.lit(value=True))
    held = archived.join(have_rows, on=_POSITION, how="left").with_columns(pl.col("in_facts").fill_null(value=False))
    return checked, held.join(_unreadable(settings, business_date, held), on=_POSITION, how="anti")


def judge(of: Mapping[str, pl.DataFrame], suites: Sequence[Suite]) -> list[Result]:
    """Every expectation of the suites against the frame of the suite's name. Takes seconds to import."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # before the import, which would call home
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("facts")
    results = []
    for suite in suites:
        whole = source.add_dataframe_asset(suite.name).add_batch_definition_whole_dataframe("whole")
        for expectation in suite.expectations:
            # A condition is applied here: a NULL elsewhere in the frame would turn whole numbers into floats.
            rows = of[suite.name].to_pandas(use_pyarrow_extension_array=True)
            chosen = rows.query(expectation.where) if expectation.where else rows
            if expectation.of_rows and chosen.empty:
                results.append(Result(suite.name, expectation.name, expectation.level, True, "no rows", ()))
                continue
            batch = whole.get_batch({"dataframe": chosen})
            found = batch.validate(_declared(gx, expectation), result_format=_RESULT_FORMAT)
            results.append(_result(suite, expectation, found))
    return results


_RESULT_FORMAT = {
    "result_format": "COMPLETE",
    "unexpected_index_column_names": _POSITION,
    "return_unexpected_index_query": False,
}


def _declared(gx: Any, expectation: Expectation) -> Any:
    return getattr(gx.expectations, expectation.kind)(**expectation.arguments)


def _result(suite: Suite, expectation: Expectation, found: Any) -> Result:
    details = found.result
    rows = tuple(
        {name: int(row[name]) for name in _POSITION}
        for row in (details.get("unexpected_index_list") or [])[:_ROWS_KEPT]
    )
    if "unexpected_count" in details:
        observed = f"{details['unexpected_count']} of {details['element_count']} rows"
    else:
        observed = str(details.get("observed_value", ""))
    if (problem := found.exception_info.get("exception_message")) is not None:
        observed = str(problem)
    return Result(suite.name, expectation.name, expectation.level, bool(found.success), observed, rows)


def _archived(settings: Settings, run: Run, partitions: list[str]) -> pl.DataFrame:
    """Positions of the archived records of these partitions below the run's cut.

    Of the archive as it is now: below the cut it never changes, while the files of an old version go with vacuum.
    """
    wanted = [("business_date", "in", partitions)]
    rows = pl.DataFrame(_read(settings.archive, None, wanted, columns=["topic", *_POSITION]))
    cut = run.cut or {}
    limit = pl.col("partition").replace_strict(list(cut), list(cut.values()), default=0, return_dtype=pl.Int64)
    return rows.filter((pl.col("topic") == ORDER_EVENTS) & (pl.col("offset") < limit)).select(
        pl.col("partition").cast(pl.Int32), "offset"
    )


def _unreadable(settings: Settings, business_date: date, held: pl.DataFrame) -> pl.DataFrame:
    """Of the records without a row, the positions of those that are no JSON in UTF-8: they have no date, and no row.

    Archivers of before filed some under one: where only a field that they had no need of cannot be read.
    """
    import pyarrow.dataset as ds

    lacking = held.filter(~pl.col("in_facts")).select(_POSITION).head(_LOOKED_INTO)
    if lacking.is_empty():
        return lacking
    wanted = [("business_date", "=", str(business_date))]
    near = ds.field("offset").isin(lacking["offset"].unique().to_list())
    values = pl.DataFrame(_read(settings.archive, None, wanted, columns=["topic", *_POSITION, "value"], where=near))
    rows = values.filter(topic=ORDER_EVENTS).with_columns(pl.col("partition").cast(pl.Int32))
    found = rows.join(lacking, on=_POSITION, how="semi")
    return found.filter(pl.Series([not payloads.readable(value) for value in found["value"]], dtype=pl.Boolean)).select(
        _POSITION
    )


def _read(address: str, version: int | None, dates: Any, columns: list[str] | None = None, where: Any = None) -> Any:
    """The rows of whole dates, of these those for which ``where`` holds; no file of another is looked at."""
    table = delta.at(address, version)
    return table.to_pyarrow_dataset(file_pruning_predicate=dates).to_table(columns=columns, filter=where)


def _first_rows(result: Result) -> str:
    if not result.failing_rows:
        return ""
    places = ", ".join(f"{row['partition']}:{row['offset']}" for row in result.failing_rows[:3])
    return f", first at partition:offset {places}"


def store(
    settings: Settings, run_id: str, business_date: date, results: Sequence[Result], facts_version: int | None
) -> None:
    """Keep what was found of a run's facts at a version of order_facts, in place of what was found before."""
    rows = [
        {
            "run_id": run_id,
            "business_date": business_date,
            "suite": result.suite,
            "expectation": result.expectation,
            "level": str(result.level),
            "success": result.success,
            "observed": result.observed,
            "failing_rows": json.dumps(result.failing_rows),
            "facts_version": facts_version,
        }
        for result in results
    ]
    with database.connect(settings, database.BATCH) as connection:
        connection.cursor().executemany(database.queries("batch").record_gate_result, rows)


def main() -> None:
    """Check one run by hand; exit status 1 where the gate fails, 2 with one line where it cannot be checked."""
    import argparse
    import sys

    from tandem.business_date import entered_range
    from tandem.settings import settings

    parser = argparse.ArgumentParser(prog="python -m spark_jobs.gate", allow_abbrev=False)
    parser.add_argument("--run-id", metavar="ID", required=True, help="the run whose facts are checked")
    parser.add_argument("--date", metavar="D", required=True, help="its business date, YYYY-MM-DD")
    asked = parser.parse_args()
    try:
        results = check(settings(), asked.run_id, entered_range(asked.date, asked.date)[0])
    except GateFailed as failure:
        sys.exit(str(failure))
    except TandemError as problem:
        print(f"gate: {problem}", file=sys.stderr)
        sys.exit(2)
    for result in results:
        print(f"{'ok  ' if result.success else 'warn'} {result.expectation} {result.observed}")


if __name__ == "__main__":
    main()
