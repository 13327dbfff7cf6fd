"""What people do to a run by hand: what they give it, and how they end it. Airflow's context is as a task has it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from pendulum import instance

from tandem import claims, database
from tandem.settings import Settings
from tests.reconciliation.books import execute

_MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture(scope="module")
def tandem_dags() -> ModuleType:
    from airflow.plugins_manager import ensure_plugins_loaded

    ensure_plugins_loaded()
    import tandem_dags

    return tandem_dags


def given(conf: dict[str, Any] | None, **of_run: Any) -> dict[str, Any]:
    run = SimpleNamespace(
        conf=conf,
        logical_date=None,
        data_interval_start=None,
        data_interval_end=None,
        run_after=_MIDNIGHT,
        partition_key=None,
        run_type="manual",
    )
    vars(run).update(of_run)
    return {"dag_run": run, "dag": SimpleNamespace(params={"date": None}), "params": {"date": None, **(conf or {})}}


def test_a_run_is_for_the_date_that_it_was_given(tandem_dags: ModuleType) -> None:
    assert tandem_dags.date_of_run(given({"date": "2017-12-23"})) == date(2017, 12, 23)
    assert tandem_dags.date_of_run(given(None)) == tandem_dags.date_of_run(given({})) == date(2026, 11, 21)


def listed_under(logical_date: datetime, interval_from: datetime, **of_run: Any) -> dict[str, Any]:
    """What Airflow makes of a logical date: the API infers the interval from it, the command line from now."""
    from business_day import BusinessDayTimetable

    inferred = BusinessDayTimetable("UTC").infer_manual_data_interval(run_after=instance(interval_from))
    bounds = {"data_interval_start": inferred.start, "data_interval_end": inferred.end}
    return {"logical_date": logical_date, **bounds, **of_run}


_MEANT = datetime(2017, 12, 23, tzinfo=UTC)


@pytest.mark.parametrize("interval_from", [_MEANT, _MIDNIGHT], ids=["by the API", "on the command line"])
def test_a_logical_date_is_refused_where_a_business_date_is_meant(
    tandem_dags: ModuleType, interval_from: datetime
) -> None:
    """It computed the day before, or yesterday, and took the place of the date's own run in a backfill."""
    told = listed_under(_MEANT, interval_from)
    with pytest.raises(AirflowFailException, match=r"logical date, 2017-12-23 .* start it with 'date' instead$"):
        tandem_dags.date_of_run(given(None, **told))
    assert tandem_dags.date_of_run(given({"date": "2017-12-23"}, **told)) == date(2017, 12, 23)
    assert tandem_dags.date_of_run(given(None, **told, partition_key="2017-12-23")) == date(2017, 12, 23)


def test_a_logical_date_of_now_or_of_the_date_that_is_computed_is_none_of_another(tandem_dags: ModuleType) -> None:
    """The form enters the one; who enters the interval too gives the other, as does every backfill."""
    prefilled = listed_under(_MIDNIGHT + timedelta(hours=9), _MIDNIGHT + timedelta(hours=9))
    assert tandem_dags.date_of_run(given(None, **prefilled, run_after=_MIDNIGHT + timedelta(hours=10))) == date(
        2026, 11, 21
    )
    for run_type in ("manual", "backfill", "scheduled"):
        own = listed_under(_MEANT, _MEANT + timedelta(days=1), run_type=run_type)
        assert tandem_dags.date_of_run(given(None, **own)) == date(2017, 12, 23)


def test_a_misspelt_date_is_refused_and_not_taken_for_none(tandem_dags: ModuleType) -> None:
    with pytest.raises(AirflowFailException, match="was given 'dat', which it does not know: give 'date'"):
        tandem_dags.date_of_run(given({"dat": "2017-12-23"}))


def test_a_date_is_refused_by_what_takes_none(tandem_dags: ModuleType) -> None:
    """As `restate`, which did what was due instead, and ended green."""
    context = given({"date": "2017-12-23"})
    context["dag"].params = {}
    for ask in (tandem_dags.dates_due, lambda context: tandem_dags.claim(context, [date(2017, 12, 23)])):
        with pytest.raises(AirflowFailException, match="was given 'date', which it does not know: give nothing"):
            ask(context)


@pytest.mark.integration
@pytest.mark.parametrize("at_work", ["", "left its claim", "holds the date", "is queued"])
def test_an_overdue_date_is_worked_on_only_where_a_run_is_for_it(
    tandem_dags: ModuleType,
    clean_database: Settings,
    monkeypatch: pytest.MonkeyPatch,
    at_work: str,
) -> None:
    """Not where a backfill of other dates runs: the mail said to wait for it."""
    day, others_run = datetime.now(UTC).date(), 1
    monkeypatch.setattr("tandem.settings.settings", lambda: clean_database)
    monkeypatch.setattr(tandem_dags, "date_of_run", lambda _: day)
    with database.connect(clean_database, database.BATCH, autocommit=True) as connection:
        other = at_work in {"", "is queued"}
        claims.take(connection, [day - timedelta(days=9) if other else day], "airflow:nightly:1")

    def count(_: str, *, logical_dates: object = None, run_ids: object = None, states: list[str]) -> int:
        if logical_dates:
            return int(at_work == "is queued")
        return int(at_work != "left its claim") if run_ids else others_run

    tandem_dags.warn_if_unpublished({"ti": SimpleNamespace(get_dr_count=count)})
    ((told,),) = execute(clean_database, "SELECT said FROM reconciliation.incidents")
    assert ("No nightly run is at work on it" in told) is (at_work in {"", "left its claim"})


@pytest.mark.integration
def test_a_date_from_before_the_installation_is_never_overdue(
    tandem_dags: ModuleType, clean_database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where somebody starts the watchdog by hand."""
    monkeypatch.setattr("tandem.settings.settings", lambda: clean_database)
    with pytest.raises(AirflowSkipException, match="Tandem was installed at"):
        tandem_dags.warn_if_unpublished(given(None))


BEHIND = {"claim": [], "cut": ["claim"], "rfm": ["cut"], "report": ["rfm"], "finish": ["claim", "rfm", "report"]}
"""A run in small: what comes behind what."""


def ending(states: dict[str, str | None]) -> dict[str, Any]:
    tasks = {name: SimpleNamespace(upstream_task_ids=set(before)) for name, before in BEHIND.items()}
    told = {**states, "finish": "running"}
    ti = SimpleNamespace(dag_id="nightly", task_id="finish", get_task_states=lambda _, run_ids: {run_ids[0]: told})
    dag = SimpleNamespace(task_dict=tasks)
    return {
        "ti": ti,
        "dag": dag,
        "dag_run": SimpleNamespace(run_id="by hand", run_type="manual"),
    }


@pytest.mark.parametrize(
    ("states", "named"),
    [
        ({"claim": "success", "cut": "failed", "rfm": "skipped", "report": "skipped"}, "cut"),
        ({"claim": "success", "cut": "success", "rfm": "skipped", "report": "skipped"}, "rfm"),
        ({"claim": "success", "cut": "success", "rfm": "success", "report": "skipped"}, "report"),
        ({"claim": "success", "cut": "skipped", "rfm": "success", "report": "success"}, "cut"),
    ],
    ids=["a task was at work", "between two tasks", "as a success", "while a cleared task waited to be tried again"],
)
def test_a_run_that_was_marked_by_hand_does_not_end_as_a_success(
    tandem_dags: ModuleType, states: dict[str, str | None], named: str
) -> None:
    with pytest.raises(AirflowFailException, match=f"^{named} did not go through, as the run was marked by hand"):
        tandem_dags.show_failure(ending(states))


@pytest.mark.parametrize(
    ("states", "named"),
    [
        ({"claim": "success", "cut": "failed", "rfm": "upstream_failed", "report": "upstream_failed"}, "cut"),
        ({"claim": "success", "cut": "success", "rfm": "success", "report": "failed"}, "report"),
        ({"claim": "success", "cut": "failed", "rfm": "success", "report": "success"}, "cut"),
        ({"claim": "success", "cut": "success", "rfm": "upstream_failed", "report": "upstream_failed"}, "report, rfm"),
    ],
    ids=["with all that follows", "the last but one", "cleared alone", "cleared without what follows"],
)
def test_a_run_of_which_a_task_failed_ends_as_failed_and_its_end_tells_nobody_again(
    tandem_dags: ModuleType, clean_database: Settings, states: dict[str, str | None], named: str
) -> None:
    """Airflow looks at the last task alone, where that may fail the run. The other has told of itself."""
    context = ending(states)
    with pytest.raises(AirflowFailException, match=f"^{named} did not go through: clear that and") as shown:
        tandem_dags.show_failure(context)
    tandem_dags.tell({**context, "exception": shown.value})
    assert execute(clean_database, "SELECT name FROM reconciliation.incidents") == []


@pytest.mark.integration
@pytest.mark.parametrize(
    ("states", "noted"),
    [
        (("failed", "upstream_failed"), "cut"),
        (("skipped", "skipped"), "cut"),
        (("success", "upstream_failed"), "report, rfm"),
        (("success", "success"), ""),
    ],
    ids=["a task failed", "marked while it waited", "cleared without what follows", "all went through"],
)
def test_the_mail_of_a_backfill_is_told_of_every_run_that_did_not_go_through(
    tandem_dags: ModuleType,
    clean_database: Settings,
    monkeypatch: pytest.MonkeyPatch,
    states: tuple[str, str],
    noted: str,
) -> None:
    """Of a run that was marked, it told an older comparison as its result."""
    monkeypatch.setattr("tandem.settings.settings", lambda: clean_database)
    monkeypatch.setattr(tandem_dags, "date_of_run", lambda _: date(2017, 12, 23))
    monkeypatch.setattr(tandem_dags, "send_summary", lambda _: None)
    cut, behind = states
    context = ending({"claim": "success", "cut": cut, "rfm": behind, "report": behind})
    context["dag_run"].run_type, context["ti"].xcom_pull = "backfill", lambda task_ids: None
    tandem_dags.note_end(context)
    assert execute(clean_database, "SELECT failure FROM reconciliation.run_ends") == [(noted,)]


def test_where_nothing_failed_the_end_is_as_it_was(tandem_dags: ModuleType) -> None:
    tandem_dags.show_failure(ending(dict.fromkeys(BEHIND, "success")))


def test_a_run_that_finds_nothing_to_do_has_not_failed(tandem_dags: ModuleType) -> None:
    idle = {"claim": "success", "cut": "skipped", "rfm": "skipped", "report": "skipped"}
    tandem_dags.show_failure(ending(idle), skip_themselves=["cut"])


@pytest.mark.integration
def test_a_publication_that_is_refused_is_not_tried_again(dagbag: Any, clean_database: Settings) -> None:
    publish = dagbag.dags["nightly"].task_dict["publish"].python_callable
    context = {"dag_run": SimpleNamespace(run_id="by hand")}
    with pytest.raises(AirflowFailException, match="there is no run none of 2017-12-23"):
        publish(batch_run="none", business_date="2017-12-23", **context)


def test_a_claim_that_failed_before_it_had_a_date_is_over_with_the_next_that_goes_through(
    tandem_dags: ModuleType, clean_database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left open, the same failure in another night would be mailed to nobody."""
    monkeypatch.setattr("tandem.settings.settings", lambda: clean_database)
    run = SimpleNamespace(run_id="by hand", run_type="manual")
    for had in (None, ["2017-12-22", "2017-12-23"], "2017-12-23"):
        told = {"dag_id": "nightly", "task_id": "claim", "log_url": "", "xcom_pull": lambda task_ids, had=had: had}
        context = {"ti": SimpleNamespace(**told), "dag_run": run, "exception": AirflowFailException("has not ended")}
        if had is None:
            tandem_dags.tell(context)
            assert execute(clean_database, "SELECT count(*) FROM reconciliation.incidents") == [(1,)]
        else:
            tandem_dags.tell_recovery(context)
    assert execute(clean_database, "SELECT count(*) FROM reconciliation.incidents WHERE resolved_at IS NULL") == [(0,)]
