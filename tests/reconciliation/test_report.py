"""The report is one value, rendered: what it says, and that nothing an event holds can break out of it."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from reconciliation import chart, digest_pages, notice, render, summary, tables, wording
from reconciliation.compare import Status
from reconciliation.corrections import Correction
from reconciliation.headline import headline
from reconciliation.report import Corrections, Report, Serving, Standing, State
from reconciliation.summary import Failure, Summary
from tandem.kpis import Unit
from tests.reconciliation.books import DAY
from tests.reconciliation.reports import (
    CORRECTED,
    DIGEST,
    EQUAL,
    EVERY,
    HOSTILE,
    NOT_COMPARED,
    NOT_PUBLISHED,
    WAITING,
    WITHIN,
    figure,
    on,
)

GOLDEN = Path(__file__).parent / "golden"
LINK = "http://127.0.0.1:18080/dags/nightly"
RANGE = Summary(
    (on(DAY - timedelta(days=2), WITHIN), on(DAY - timedelta(days=1), WAITING), CORRECTED),
    (Failure(DAY + timedelta(days=1), "order_facts, gate"),),
    LINK,
)
BROKEN = notice.failure(
    dag_id="nightly",
    task_id="order_facts",
    business_date="2017-12-23",
    error="Traceback (most recent call last):\n  File <stdin>\nOSError: no space left on device",
    link=LINK,
)
RENDERED = {
    **{f"{name}.html": render.html(report) for name, report in EVERY.items()},
    **{f"{name}.txt": render.text(report) for name, report in EVERY.items()},
    "range.html": summary.html(RANGE),
    "range.txt": summary.text(RANGE),
    "digest.html": digest_pages.html(DIGEST),
    "digest.txt": digest_pages.text(DIGEST),
    "failure.html": notice.html(BROKEN),
    "failure.txt": notice.text(BROKEN),
}


@pytest.mark.parametrize("name", RENDERED)
def test_the_rendered_report_is_the_golden_file(name):
    path = GOLDEN / name
    if os.environ.get("TANDEM_REGENERATE"):
        path.write_text(RENDERED[name], encoding="utf-8")
    expected = path.read_text(encoding="utf-8") if path.exists() else ""
    assert RENDERED[name] == expected, (
        f"{path} is behind; read the change, then TANDEM_REGENERATE=1 .venv/bin/pytest {__file__}"
    )


@pytest.mark.parametrize(
    ("report", "state", "subject"),
    [
        (EQUAL, State.AGREES, "[Tandem] 2017-12-23 agrees (no difference)"),
        (WITHIN, State.AGREES, "[Tandem] 2017-12-23 agrees (units +0.37 %)"),
        (CORRECTED, State.CORRECTED, "[Tandem] 2017-12-23 was out of tolerance, corrected (units +4.58 %)"),
        (
            WAITING,
            State.WAITS,
            "[Tandem] 2017-12-23 is out of tolerance, corrections wait for approval (units +4.58 %)",
        ),
        (
            NOT_COMPARED,
            State.NOT_COMPARED,
            "[Tandem] 2017-12-23 could not be compared (the speed layer was 1,204 records behind Kafka)",
        ),
        (
            NOT_PUBLISHED,
            State.NOT_PUBLISHED,
            "[Tandem] 2017-12-23 has no batch figures: a check failed (order ids are unique)",
        ),
    ],
)
def test_the_subject_holds_date_verdict_and_worst_metric(report, state, subject):
    assert (report.state, report.subject) == (state, subject)


def test_a_date_counts_as_corrected_only_once_the_stream_has_applied_everything():
    on_the_way = replace(CORRECTED, corrections=Corrections(sent=214, applied=213, waiting=0, reversed=0))
    assert on_the_way.state is State.DIFFERS
    assert wording.steps(on_the_way)[0].text.startswith("1 of 214 corrections is not applied yet")


def test_a_missing_figure_is_worse_than_any_difference():
    gone = replace(CORRECTED, figures=(*CORRECTED.figures[1:], figure("order_count", 606, None)))
    assert gone.worst_in_words() == "the stream has no order count"


def test_a_figure_that_is_out_of_tolerance_is_named_before_a_larger_difference_that_decides_nothing():
    small = figure("cancelled_revenue_cents", 100, 50, decides=False)
    revenue = figure("revenue_cents", 10_000, 9_000)
    assert replace(CORRECTED, figures=(small, revenue)).worst_in_words() == "revenue +10.00 %"


def test_a_difference_against_a_batch_figure_of_zero_is_an_amount_and_no_percentage():
    from_nothing = replace(CORRECTED, figures=(figure("revenue_cents", 0, 500),))
    assert from_nothing.worst_in_words() == "revenue -$5.00"


@pytest.mark.parametrize(
    ("serving", "said"),
    [
        (Serving("certified", "batch", 2, ""), "Use the batch layer's figures: certified, version 2."),
        (
            Serving("overdue", "speed", None, "the nightly run for this date never published"),
            "Use the stream's figures, as overdue: the nightly run for this date never published.",
        ),
        (Serving("failed", None, None, "the gates failed: x"), "There is no figure to use: the gates failed: x."),
    ],
)
def test_the_report_says_which_figure_to_use_now(serving, said):
    assert said in render.text(replace(CORRECTED, serving=serving))


@pytest.mark.parametrize("report", EVERY.values(), ids=EVERY)
def test_there_is_always_something_to_do_next_and_commands_name_the_date(report):
    steps = wording.steps(report)
    assert steps
    assert all("--date 2017-12-23" in step.command for step in steps if step.command)


class Reader(HTMLParser):
    """Collects what a page would load or run, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.sources: list[str] = []
        self.targets: list[str] = []
        self.alternatives: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.tags.add(tag)
        self.sources += [named[name] for name in ("src", "srcset", "background", "data") if name in named]
        self.targets += [named["href"]] if "href" in named else []
        self.alternatives += [named["alt"]] if "alt" in named else []
        assert not [name for name in named if name.startswith("on")]

    def handle_data(self, data):
        self.text += data


def reader(page: str) -> Reader:
    made = Reader()
    made.feed(page)
    return made


def test_nothing_that_an_event_or_a_check_holds_becomes_markup():
    found = reader(render.html(HOSTILE))
    assert "script" not in found.tags
    assert found.targets == [HOSTILE.gates_link, LINK]
    assert '<script>alert("order")</script>' in found.text
    assert "<b>bold</b>" in found.text
    assert "{{ 7 * 7 }}" in found.text


@pytest.mark.parametrize("report", EVERY.values(), ids=EVERY)
def test_the_standalone_page_loads_nothing_and_is_small(report):
    page = render.standalone(report)
    found = reader(page)
    assert {source[:22] for source in found.sources} <= {"data:image/png;base64,"}
    assert not found.tags & {"link", "script", "iframe", "object"}
    assert not re.search(r"url\(|@import", page)
    assert len(page.encode()) < 100_000


def test_the_chart_is_told_to_who_cannot_see_it():
    causes, trend = reader(render.html(CORRECTED)).alternatives
    assert causes == "Revenue: stream $23,953.27, late +$1,100.00, duplicate -$58.80, batch $24,994.47"
    assert trend.startswith("Difference of revenue in percent of batch: 2017-11-24 +0.31 %")
    assert trend.endswith("2017-12-23 +4.17 %, corrected to +0.00 %")


@pytest.mark.parametrize("report", EVERY.values(), ids=EVERY)
def test_the_pictures_are_small_pngs(report):
    drawn = render.pictures(report)
    assert render.TREND_ID in drawn
    assert all(png.startswith(b"\x89PNG") for png in drawn.values())
    assert sum(map(len, drawn.values())) < 25_000


@pytest.mark.parametrize("report", [CORRECTED, WAITING, WITHIN, HOSTILE])
def test_the_steps_of_the_waterfall_lead_from_the_stream_to_the_batch_figure(report):
    (_, start), *causes, (_, end) = chart.waterfall(report)
    revenue = report.figure("revenue_cents")
    assert (start, end) == (revenue.counted, revenue.batch)
    assert start + sum(amount for _, amount in causes) == end


def test_there_is_no_waterfall_where_nothing_differs_or_a_side_is_missing():
    assert [chart.waterfall(report) for report in (EQUAL, NOT_COMPARED, NOT_PUBLISHED)] == [(), (), ()]
    assert render.WATERFALL_ID not in render.pictures(EQUAL)


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (EQUAL, "Stream and batch agree in every figure, to the cent."),
        (
            replace(EQUAL, cells_compared=4_000, cells_differing=1),
            (
                "Stream and batch agree in every figure of the day, to the cent, but not in 1 of 4,000 cells by hour,"
                " product or category."
            ),
        ),
        (
            WITHIN,
            (
                "Stream and batch agree within tolerance: the stream was $82.50 of revenue (0.33 %) short:"
                " 1 order that came late (+$82.50)."
            ),
        ),
        (
            CORRECTED,
            (
                "The stream was $1,041.20 of revenue (4.17 %) short: 3 orders that came late (+$1,100.00),"
                " 1 order sent twice (-$58.80). This was corrected (214 cells), and now both agree to the cent."
            ),
        ),
        (
            WAITING,
            (
                "The stream was $1,041.20 of revenue (4.17 %) short: what nothing explains (+$1,191.00),"
                " 2 orders that the batch layer never got (-$91.00), 1 order sent twice (-$58.80)."
                " Nothing was corrected yet: 214 corrections wait for a person to approve them."
            ),
        ),
        (
            NOT_COMPARED,
            "The two layers could not be compared: the speed layer was 1,204 records behind Kafka.",
        ),
        (
            NOT_PUBLISHED,
            (
                "There are no batch figures: the check 'order ids are unique' failed (2 of 606 rows, first at"
                " partition:offset 3:1201), so nothing was published."
            ),
        ),
    ],
)
def test_one_sentence_says_what_happened_to_which_orders_how_much_and_what_was_done(report, said):
    assert headline(report) == said


@pytest.mark.parametrize("report", [EQUAL, WITHIN, CORRECTED])
def test_a_journal_that_has_lost_a_segment_is_told_with_what_brings_it_back(report):
    lost = "the stream's journal has lost offsets 3 to 8 of partition 1"
    rebuild = "tandem stream rebuild --from 2017-12-23 --swap"
    doubted = replace(report, reason=lost, remedy=f"rebuild it from the log: {rebuild}")
    assert headline(doubted) == f"{headline(report)} But {lost}."
    step = wording.steps(doubted)[0]
    assert (step.text, step.command) == (f"As {lost}, rebuild it from the log:", rebuild)
    assert "Nothing has to be done." not in [step.text for step in wording.steps(doubted)]
    for form in (render.text(doubted), render.standalone(doubted), render.document(doubted)["headline"]):
        assert "has lost offsets 3 to 8 of partition 1" in " ".join(form.split())


@pytest.mark.parametrize("report", [EQUAL, WITHIN, CORRECTED])
def test_what_a_check_finds_unusual_is_to_be_looked_at_though_both_layers_agree(report):
    first, second, *_ = wording.steps(report)
    seen = "24994.47, usually 12592 ± 5000"
    assert first.text == f"See whether the figures can be right: 'revenue is near the usual' does not hold ({seen})."
    assert first.command == "tandem gates --date 2017-12-23"
    assert second.text.startswith("Nothing else has to be done.")
    sound = replace(report, gates=tuple(replace(gate, success=True) for gate in report.gates))
    assert wording.steps(sound)[0].text.startswith("Nothing has to be done.")


@pytest.mark.parametrize("report", [EQUAL, WITHIN, CORRECTED])
def test_what_segments_rest_on_is_said_though_both_layers_agree_where_it_is_not_published_dates_alone(report):
    sound = replace(report, gates=())
    why = "without 1 earlier date whose facts the gate refused"
    doubted = replace(sound, standing=(Standing("segments", "incomplete", why), Standing("rankings", "unchecked", "x")))
    first, second, third, *_ = wording.steps(doubted)
    assert first.text == f"Know before you use the segments of the date: they are incomplete, {why}."
    assert first.command == "tandem restate --dry-run"
    assert "rankings of the date: they are unchecked, x" in second.text
    assert third.text.startswith("Nothing else has to be done.")
    for form in (render.text(doubted), render.standalone(doubted), str(render.document(doubted)["next_steps"])):
        assert "they are incomplete" in " ".join(form.split())


def test_a_date_that_corrections_made_equal_is_called_corrected_in_the_table_of_the_last_days():
    *_, last = tables.trend_rows(CORRECTED)
    assert last == ["2017-12-23", "+4.17 %", "+0.00 %", "corrected"]


def test_a_sentence_about_a_figure_that_was_corrected_before_names_no_causes_of_what_was_counted():
    half = replace(CORRECTED.figure("revenue_cents"), speed=2_450_000)
    again = replace(CORRECTED, figures=(half,), corrections=Corrections(214, 200, 0, 0))
    assert headline(again) == (
        "The stream was $494.47 of revenue (1.98 %) short. Corrections are on their way: 200 of 214 are applied."
    )


def test_the_small_print_names_the_certificate_and_how_to_check_it():
    text = render.text(CORRECTED)
    assert (
        "Certificate 77aa77aa77aa77aa: both books are 9e079e079e079e07 after 214 corrections."
        " To check it: tandem verify --date 2017-12-23"
    ) in text
    assert "stream 3b1f3b1f3b1f3b1f, batch 9e079e079e079e07. To check" in render.text(WAITING)
    assert "Certificate" not in render.text(NOT_COMPARED)


def test_the_json_holds_the_whole_value_and_what_is_derived_from_it():
    document = json.loads(json.dumps(render.document(CORRECTED)))
    assert (document["state"], document["subject"]) == ("corrected", CORRECTED.subject)
    fields = {name: value for name, value in document.items() if name in Report.__dataclass_fields__}
    assert msgspec.convert(fields, Report) == CORRECTED


def test_amounts_are_in_the_currency_of_the_installation():
    assert "€24,994.47" in render.text(replace(CORRECTED, currency="EUR"))
    assert "SEK 24,994.47" in render.text(replace(CORRECTED, currency="SEK"))


def test_times_are_in_the_business_time_zone():
    text = render.text(replace(CORRECTED, timezone="America/New_York"))
    assert "Compared 2017-12-23 21:04:31 America/New_York" in text


def test_events_and_corrected_cells_are_listed_on_the_clock_of_the_business():
    santiago, at = ZoneInfo("America/Santiago"), datetime(2017, 12, 24, 1, 30, tzinfo=UTC)
    event = replace(CORRECTED.events[0], event_time=at)
    assert ", 2017-12-23 22:30:00 -03, partition" in tables.event_line(event, "CLP", santiago)
    assert ", no time, partition" in tables.event_line(replace(event, event_time=None), "CLP", santiago)
    entry = Correction("c", DAY, "order_hours", at, "", "revenue_cents", 1, 5, 7, 2, "r", 1, "emitted")
    assert tables.kept_correction_rows([entry], santiago)[1][1] == "order_hours 2017-12-23 22:30 -03"


def test_a_range_is_one_mail_whose_subject_counts_outcomes_and_names_the_worst_date():
    assert RANGE.subject == (
        "[Tandem] 2017-12-21 to 2017-12-24: 1 within tolerance, 1 corrected, 1 waiting for approval,"
        " 1 without a result (worst: 2017-12-22 units +4.58 %)"
    )


def test_the_mail_of_a_year_stays_small_and_still_names_every_date_that_needs_a_look():
    days = [DAY - timedelta(days=back) for back in range(365)]
    odd = {DAY - timedelta(days=300), DAY - timedelta(days=7)}
    year = Summary(tuple(on(day, WAITING if day in odd else WITHIN) for day in sorted(days)), (), LINK)
    page = summary.html(year)
    assert len(page.encode()) < 100_000
    assert all(str(day) in page for day in odd)
    assert f"{365 - 60} more dates agree" in reader(page).text


def test_the_end_of_a_long_error_is_told_without_control_characters():
    told = notice.failure(
        dag_id="nightly",
        task_id="gate",
        business_date="",
        error="\x1b[31m" + "noise\n" * 500 + "the cause",
    )
    assert told.error.endswith("the cause")
    assert len(told.error) <= 4_000
    assert "\x1b" not in told.error


def test_the_first_sentence_of_a_mismatch_is_about_a_figure_that_is_out_of_tolerance():
    """Revenue that differs within its tolerance is not more than the tolerance allows."""
    units = figure("units", 5_911, 5_640, unit=Unit.COUNT)
    revenue = figure("revenue_cents", 2_499_447, 2_491_197)
    found = replace(CORRECTED, figures=(revenue, units), corrections=Corrections(0, 0, 0, 0))
    assert (found.state, revenue.status) == (State.DIFFERS, Status.MATCH)
    assert headline(found).startswith("The stream was 271 in units (4.58 %) short")
    assert headline(replace(found, figures=CORRECTED.figures)).startswith("The stream was $1,041.20 of revenue")


def test_a_percentage_of_a_figure_below_zero_has_the_sign_of_its_difference():
    """More was taken back than sold: the subject must not say over where the sentence says short."""
    net = figure("net_revenue_cents", -10_000, -15_000)
    found = replace(CORRECTED, figures=(net,), corrections=Corrections(0, 0, 0, 0))
    assert net.percent == 50
    assert found.worst_in_words() == "net revenue +50.00 %"
    assert "$50.00 of net revenue (50.00 %) short" in headline(found)


def test_what_a_layer_lacks_is_the_worst_of_a_range_whatever_else_is_off_by_a_percentage():
    lost = on(DAY - timedelta(days=1), replace(CORRECTED, figures=(figure("revenue_cents", 10_000, None),)))
    whole = Summary((lost, on(DAY, WITHIN)), (), LINK)
    assert whole.subject.endswith(f"(worst: {lost.business_date} the stream has no revenue)")


def test_a_difference_against_nothing_is_worse_than_any_percentage():
    cancelled, revenue = figure("cancelled_revenue_cents", 0, 500_000), figure("revenue_cents", 10_000, 9_000)
    assert replace(CORRECTED, figures=(revenue, cancelled)).worst is cancelled
