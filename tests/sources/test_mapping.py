from __future__ import annotations

from pathlib import Path

import pytest
from shops import HEADER, PLAIN, shop

from tandem.errors import TandemError
from tandem.sources.mapping import load_mapping


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('id = "id"', 'id = "id"\nidd = "x"', "unknown key 'order.idd'; there are order.id, order.time"),
        ("[line]", "[lines]", "unknown key 'lines'; there are name, order, line"),
        ('id = "id"', "id = 5", "order.id: Expected `str`, got `int`"),
        ('time = "time"', "", "order: Object missing required field `time`"),
        ('amount = "amount"', "", "line.amount or line.unit_price is needed"),
        ('name = "shop"', 'name = "my shop"', "name 'my shop' may have letters"),
        ("[order]", '[file]\ndelimiter = "||"\n[order]', "file.delimiter must be one character"),
        ("[order]", '[file]\nencoding = "latin-99"\n[order]', "file.encoding 'latin-99' is not an encoding"),
        ("[order]", '[file]\ndecimal = ","\nthousands = ","\n[order]', "cannot both be ','"),
        ("[order]", '[file]\nrow_per = "basket"\n[order]', "file.row_per: Invalid enum value 'basket'"),
        ("[order]", '[order]\ntime_zone = "Mars/Olympus"', "order.time_zone 'Mars/Olympus' is not a time zone"),
        ("[order]", "[order", "Expected ']'"),
    ],
)
def test_a_wrong_key_is_one_line_that_names_it(tmp_path: Path, before: str, after: str, said: str) -> None:
    with pytest.raises(TandemError) as error, shop(tmp_path, HEADER, PLAIN.replace(before, after, 1)):
        pass
    assert said in str(error.value)
    assert "shop.toml" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_mapping_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TandemError, match=r"cannot read .*none\.toml: No such file"):
        load_mapping(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("custmer", 'Referenced column "custmer" not found'),
        ("upper(customer", "syntax error"),
        ("nosuch(customer)", "Scalar Function with name nosuch does not exist"),
        ("customer), (product", "one expression over the columns is wanted"),
        ("customer FROM rows --", "syntax error"),
        ("(SELECT max(customer) FROM rows)", "one expression over the columns is wanted"),
        ("max(customer)", "aggregates are not allowed"),
        ("customer; DROP VIEW rows", "syntax error"),
    ],
)
def test_an_expression_that_does_not_fit_names_its_key_and_the_columns(
    tmp_path: Path, expression: str, said: str
) -> None:
    mapping = PLAIN.replace('customer = "customer"', f'customer = "{expression}"')
    with pytest.raises(TandemError) as error, shop(tmp_path, HEADER + "1,2024-01-01,c,p,1,1\n", mapping):
        pass
    assert str(error.value).startswith("order.customer = ")
    assert said in str(error.value)
    assert "the file's columns are id, time, customer, product, pieces, amount" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "expression",
    [
        "(SELECT content FROM read_text('/etc/hostname'))",
        "getenv('HOME')",
        "read_text('/etc/hostname')",
    ],
)
def test_an_expression_sees_the_file_and_nothing_else_of_the_machine(tmp_path: Path, expression: str) -> None:
    mapping = PLAIN.replace('customer = "customer"', f'customer = "{expression}"')
    with pytest.raises(TandemError, match=r"order\.customer"), shop(tmp_path, HEADER, mapping):
        pass


def test_what_is_no_time_or_no_condition_is_refused(tmp_path: Path) -> None:
    number = PLAIN.replace('time = "time"', 'time = "number(pieces)"')
    with pytest.raises(TandemError, match=r"order\.time is a number, not a time"), shop(tmp_path, HEADER, number):
        pass
    text = PLAIN + '\n[cancellation]\nwhen = "customer"\n'
    with pytest.raises(TandemError, match=r"cancellation\.when is not a condition"), shop(tmp_path, HEADER, text):
        pass


def test_a_time_format_that_is_none_is_refused(tmp_path: Path) -> None:
    mapping = PLAIN.replace('time = "time"', 'time = "time"\ntime_format = "%Q"')
    with pytest.raises(TandemError, match=r"order\.time_format"), shop(tmp_path, HEADER, mapping):
        pass
