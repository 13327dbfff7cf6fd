"""Files of made-up shops; every expected figure was worked out by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shops import HEADER, PLAIN, SHOP, payloads, shop, sold

from tandem.sources.lines import assemble
from tandem.sources.mapping import load_mapping
from tandem.sources.own_data import open_file
from tandem.sources.payloads import Item, Payload

GERMAN = """
    name = "laden"
    [file]
    encoding = "cp1252"
    delimiter = ";"
    decimal = ","
    thousands = "."
    [order]
    id = "Beleg"
    time = "Datum"
    time_format = "%d.%m.%Y %H:%M"
    time_zone = "Europe/Berlin"
    customer = "Kunde"
    email = "E-Mail"
    payment_method = "lower(Zahlart)"
    region = "Filiale"
    [line]
    product = "Artikel"
    category = "Gruppe"
    quantity = "Menge"
    unit_price = "Preis"
    [cancellation]
    when = "Beleg LIKE 'S%'"
    cancels = "substr(Beleg, 2)"
"""
GERMAN_LINES = """Beleg;Datum;Kunde;E-Mail;Artikel;Gruppe;Menge;Preis;Zahlart;Filiale
17;24.12.2017 00:30;K1;k1@example.de;Käse;Kühlregal;3;1.234,56;BAR;Köln
17;24.12.2017 00:30;K1;k1@example.de;Öl;;1;0,05;BAR;Köln
18;23.12.2017 23:59;K2;;Käse;Kühlregal;2;0,335;EC;Köln
S17;25.12.2017 10:00;K1;k1@example.de;Käse;Kühlregal;-2;1.234,56;BAR;Köln
"""


def test_a_german_export_becomes_orders_and_cancellations(tmp_path: Path) -> None:
    with shop(tmp_path, GERMAN_LINES.encode("cp1252"), GERMAN) as source:
        assert source.rejected == (0, 0)
        assert payloads(source) == [
            Payload(
                event_id="laden:18:created",
                event_type="order_created",
                event_time="2017-12-23T22:59:00Z",
                order_id="18",
                customer_id="K2",
                # 2 × 0.335; a price of three places is no unit price of the contract
                total_amount="0.67",
                items=[Item("Käse", "Kühlregal", 2, "0.67")],
                currency="EUR",
                payment_method="ec",
                region="Köln",
            ),
            Payload(
                event_id="laden:17:created",
                event_type="order_created",
                event_time="2017-12-23T23:30:00Z",
                order_id="17",
                customer_id="K1",
                total_amount="3703.73",
                items=[Item("Käse", "Kühlregal", 3, "3703.68", "1234.56"), Item("Öl", None, 1, "0.05", "0.05")],
                currency="EUR",
                payment_method="bar",
                region="Köln",
                customer_email="k1@example.de",
            ),
            Payload(
                event_id="laden:S17:cancelled:17:2017-12-25T09:00:00.000000",
                event_type="order_cancelled",
                event_time="2017-12-25T09:00:00Z",
                order_id="17",
                customer_id="K1",
                total_amount="2469.12",
                items=[Item("Käse", "Kühlregal", 2, "2469.12", "1234.56")],
                currency="EUR",
                payment_method="bar",
                region="Köln",
                customer_email="k1@example.de",
            ),
        ]


def test_dates_select_by_the_business_date_of_each_event(tmp_path: Path) -> None:
    for day, expected in ((23, ["18", "17"]), (24, []), (25, ["17"])):
        chosen = date(2017, 12, day)
        with shop(tmp_path, GERMAN_LINES.encode("cp1252"), GERMAN, first=chosen, last=chosen) as source:
            assert [payload.order_id for payload in payloads(source)] == expected
            assert source.size() == len(expected)


@pytest.mark.parametrize(
    ("decimal", "thousands", "text", "cents"),
    [
        (".", "", "12.34", "12.34"),
        (".", "", "12", "12.00"),
        (".", "", " 12.3 ", "12.30"),
        (".", "", ".5", "0.50"),
        (".", "", "+7", "7.00"),
        (".", ",", "1,234,567.89", "1234567.89"),
        (",", ".", "1.234", "1234.00"),
        (",", "", "1,234", "1.23"),
        (",", "'", "1'234,5", "1234.50"),
        (",", "\u00a0", "1\u00a0234,50", "1234.50"),
        # Half a cent goes away from zero, as commerce rounds.
        (".", "", "0.005", "0.01"),
        (".", "", "2.675", "2.68"),
        (".", "", "37.349999999999994", "37.35"),
    ],
)
def test_amounts_are_read_as_they_are_written(
    tmp_path: Path, decimal: str, thousands: str, text: str, cents: str
) -> None:
    file = f'[file]\ndelimiter = ";"\ndecimal = "{decimal}"\nthousands = "{thousands}"\n[order]'
    with shop(
        tmp_path, HEADER.replace(",", ";") + f"1;2024-01-01;c;p;1;{text}\n", PLAIN.replace("[order]", file)
    ) as source:
        assert sold(source) == {"1": cents}


@pytest.mark.parametrize(
    ("decimal", "thousands", "text"),
    [
        (",", "", "1.234"),
        (".", ",", "1,23"),
        (".", ",", "12,34.56"),
        (".", "", "1,234"),
        (".", "", "1e3"),
        (".", "", "NaN"),
        (".", "", "inf"),
        (".", "", "$5"),
        (".", "", "5-"),
        (".", "", "--5"),
        (".", "", "."),
        (".", "", "1 000"),
        (".", "", "0x10"),
        (".", "", "٣"),
    ],
)
def test_what_could_be_read_two_ways_is_rejected_not_guessed(
    tmp_path: Path, decimal: str, thousands: str, text: str
) -> None:
    file = f'[file]\ndelimiter = ";"\ndecimal = "{decimal}"\nthousands = "{thousands}"\n[order]'
    with shop(
        tmp_path, HEADER.replace(",", ";") + f"1;2024-01-01;c;p;1;{text}\n", PLAIN.replace("[order]", file)
    ) as source:
        assert payloads(source) == []
        assert [reject.reason for reject in source.rejects()] == [f'amount "{text}" is not a number']


ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo", "UTC"]


@settings(max_examples=15, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    times=st.lists(st.datetimes(datetime(1995, 1, 1), datetime(2024, 1, 1)), min_size=1, max_size=40),  # noqa: DTZ001
)
def test_local_times_become_the_instants_that_pythons_zones_say(
    tmp_path_factory: pytest.TempPathFactory, zone: str, times: list[datetime]
) -> None:
    mapping = PLAIN.replace('time = "time"', f'time = "time"\ntime_zone = "{zone}"')
    lines = "".join(f"{n},{time.isoformat(sep=' ')},c,p,1,1\n" for n, time in enumerate(times))
    exists = {
        str(n): instant.isoformat().replace("+00:00", "Z")
        for n, time in enumerate(times)
        if (instant := time.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC))
        and instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == time
    }
    with shop(tmp_path_factory.mktemp("zone"), HEADER + lines, mapping) as source:
        assert {payload.order_id: payload.event_time for payload in payloads(source)} == exists
        assert source.rejected[0] == len(times) - len(exists)


def test_where_the_clocks_go_back_the_first_of_the_two_hours_is_meant_and_where_they_go_forward_none(
    tmp_path: Path,
) -> None:
    mapping = PLAIN.replace('time = "time"', 'time = "time"\ntime_zone = "Europe/Berlin"')
    lines = "1,2024-10-27 02:30:00,c,p,1,1\n2,2024-03-31 02:30:00,c,p,1,1\n"
    with shop(tmp_path, HEADER + lines, mapping) as source:
        assert [payload.event_time for payload in payloads(source)] == ["2024-10-27T00:30:00Z"]
        assert source.rejects()[0].reason == (
            'time "2024-03-31 02:30:00" does not exist in Europe/Berlin: the clocks go forward there'
        )


@pytest.mark.parametrize(
    ("text", "time_format", "expected"),
    [
        ("2024-02-29T10:00:00Z", None, "2024-02-29T10:00:00Z"),
        ("2024-02-29T10:00:00+02:00", None, "2024-02-29T08:00:00Z"),
        ("2024-02-29 10:00:00.25-0500", None, "2024-02-29T15:00:00.250000Z"),
        ("2024-02-29", None, "2024-02-29T00:00:00Z"),
        ("29/Feb/2024:10:00:00 +0530", "%d/%b/%Y:%H:%M:%S %z", "2024-02-29T04:30:00Z"),
        ("2/29/24 9:05 PM", "%m/%d/%y %I:%M %p", "2024-02-29T21:05:00Z"),
        ("2023-02-29", None, None),
        ("31/11/2024", "%d/%m/%Y", None),
        ("2024-02-29 10:00 or so", "%Y-%m-%d %H:%M", None),
        ("2024-02-29  9:05", None, "2024-02-29T09:05:00Z"),
        ("2024-02-29 9:05+01", None, "2024-02-29T08:05:00Z"),
        # The cast of these would take what stands before the last word.
        ("2024-02-29 11:30 PM", None, None),
        ("2024-02-29 10:00:00 UTC", None, None),
        ("2024-02-29 10:00:00 PST", None, None),
        ("2024-02-29 10:00:00 +2", None, None),
        ("2024-02-29T10:00:00+02:00:00", None, None),
        ("2024-02-29 10:00 or so", None, None),
        ("infinity", None, None),
        ("yesterday", None, None),
    ],
)
def test_times_are_read_by_their_format_or_as_iso_8601(
    tmp_path: Path, text: str, time_format: str | None, expected: str | None
) -> None:
    mapping = PLAIN if time_format is None else PLAIN.replace("[line]", f'time_format = "{time_format}"\n[line]')
    with shop(tmp_path, HEADER + f"1,{text},c,p,1,1\n", mapping) as source:
        assert [payload.event_time for payload in payloads(source)] == ([expected] if expected else [])
        assert source.rejected[0] == (expected is None)
        form = f"in the form {time_format}" if time_format else "an ISO 8601 time"
        assert [reject.reason for reject in source.rejects()] == ([] if expected else [f'time "{text}" is not {form}'])


def test_parquet_is_read_with_its_own_types_and_floats_mean_the_decimals_they_show(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "id": [7, 7, 8],
            "time": [datetime(2024, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)] * 3,
            "customer": [None, None, 11],
            "product": ["a", "b", "a"],
            "pieces": [1, 2, 3],
            "amount": [0.1, 0.2, 4.35],
        }
    )
    frame.write_parquet(tmp_path / "shop.parquet")
    (tmp_path / "shop.toml").write_text(PLAIN)
    with open_file(tmp_path / "shop.parquet", load_mapping(tmp_path / "shop.toml"), None, None, SHOP) as source:
        seven, eight = payloads(source)
    assert (seven.total_amount, [item.amount for item in seven.items]) == ("0.30", ["0.10", "0.20"])
    assert (seven.customer_id, eight.customer_id) == (None, "11")
    assert (eight.event_time, eight.total_amount) == ("2024-01-02T03:04:05.678000Z", "4.35")


def test_rows_of_a_broken_parquet_row_are_numbered_from_one(tmp_path: Path) -> None:
    frame = {
        "id": ["1", "2"],
        "time": ["2024-01-01", "never"],
        "customer": "c",
        "product": "p",
        "pieces": 1,
        "amount": 1,
    }
    pl.DataFrame(frame).write_parquet(tmp_path / "shop.parquet")
    (tmp_path / "shop.toml").write_text(PLAIN)
    with open_file(tmp_path / "shop.parquet", load_mapping(tmp_path / "shop.toml"), None, None, SHOP) as source:
        assert [(r.line, r.order_id) for r in source.rejects()] == [(2, "2")]


def test_a_file_of_one_row_per_order_needs_no_products(tmp_path: Path) -> None:
    mapping = """
        name = "orders"
        [file]
        row_per = "order"
        [order]
        id = "id"
        time = "time"
        customer = "coalesce(nullif(customer, ''), 'guest')"
        currency = "'EUR'"
        [line]
        amount = "number(net) + number(tax)"
    """
    with shop(tmp_path, "id,time,customer,net,tax\n1,2024-01-01,,10.00,1.90\n", mapping) as source:
        (payload,) = payloads(source)
    assert payload.items == [Item("unspecified", None, 1, "11.90")]
    assert (payload.customer_id, payload.currency) == ("guest", "EUR")


def test_cancellations_written_without_a_minus_take_back_what_they_say(tmp_path: Path) -> None:
    mapping = (
        PLAIN
        + """
    [cancellation]
    when = "product LIKE 'return%'"
    amounts = "positive"
    """
    )
    lines = "1,2024-01-01,c,pot,2,30\n1,2024-01-03,c,return pot,1,15\n1,2024-01-05,c,return pot,1,15\n"
    with shop(tmp_path, HEADER + lines, mapping) as source:
        found = [(p.event_type, p.order_id, p.total_amount, p.items[0].quantity) for p in payloads(source)]
        ids = {payload.event_id for payload in payloads(source)}
    # Two returns of one order on two days are two events, each on its own date.
    assert found == [
        ("order_created", "1", "30.00", 2),
        ("order_cancelled", "1", "15.00", 1),
        ("order_cancelled", "1", "15.00", 1),
    ]
    assert len(ids) == 3


def test_columns_may_be_called_anything(tmp_path: Path) -> None:
    names = ["time_given", "line", "broken", "own_id", "amount", "Order", "select", 'the "best"', "local_time", "at_us"]
    mapping = """
        name = "odd"
        [order]
        id = "line"
        time = "Order"
        customer = 'the "best"'
        region = "at_us"
        payment_method = "time_given"
        [line]
        product = "select"
        category = "broken"
        quantity = "own_id"
        amount = "local_time"
    """
    header = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    cells = "a,7,b,2,c,2024-05-06,apple,Zoe,3.50,north"
    with shop(tmp_path, f"{header}\n{cells}\n", mapping) as source:
        (payload,) = payloads(source)
    assert (payload.order_id, payload.customer_id, payload.event_time) == ("7", "Zoe", "2024-05-06T00:00:00Z")
    assert (payload.region, payload.payment_method) == ("north", "a")
    assert payload.items == [Item("apple", "b", 2, "3.50")]


def test_the_same_file_gives_the_same_events_and_another_name_gives_others(tmp_path: Path) -> None:
    lines = HEADER + "1,2024-01-01,c,p,1,1\n"
    with shop(tmp_path, lines) as source:
        once, again = list(assemble(source)), list(assemble(source))
    with shop(tmp_path, lines, PLAIN.replace('"shop"', '"other"')) as source:
        other = payloads(source)[0].event_id
    assert once == again
    assert (once[0].payload.event_id, other) == ("shop:1:created", "other:1:created")


def test_events_come_by_time_whatever_the_order_of_the_file(tmp_path: Path) -> None:
    lines = "3,2024-01-03,c,p,1,1\n1,2024-01-01T10:00:00,c,p,1,1\n2,2024-01-02,c,p,1,1\n1,2024-01-01T09:59:00,c,q,1,1\n"
    with shop(tmp_path, HEADER + lines) as source:
        assert [(p.order_id, p.event_time[:16]) for p in payloads(source)] == [
            ("1", "2024-01-01T09:59"),
            ("2", "2024-01-02T00:00"),
            ("3", "2024-01-03T00:00"),
        ]
