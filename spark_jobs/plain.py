r"""Which payloads are plain, so that one typed ``from_json`` reads them as ``tandem.events`` says.

``from_json`` is many times as quick as opening variants, but looser: it takes NaN, single quotes, text after the
object, the last of two equal names, a number for a text. So one regular expression first holds the value as a whole
against the grammar. What it takes is JSON without a backslash, in which no name of the contract stands twice in its
object, and every field of the contract holds null or what it should; so there is one way only to read it. Everything
else, be it fine or not, is not plain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from tandem.events import (
    AMOUNT_PATTERN,
    EVENT_COLUMNS,
    EVENT_TIME_PATTERN,
    MAX_CENTS,
    MAX_TEXT_LENGTH,
    UNCATEGORISED,
)

if TYPE_CHECKING:
    from pyspark.sql import Column

_TEXTS = tuple(column.name for column in EVENT_COLUMNS if column.kind == "text")
_AMOUNTS = ("total_amount", "previous_total_amount")
_ITEM_TEXTS, _ITEM_AMOUNTS = ("product_id", "category"), ("unit_price", "amount")
_CENTS = "DECIMAL(13, 2)"
_ITEM = {**dict.fromkeys(_ITEM_TEXTS, "STRING"), "quantity": "BIGINT", **dict.fromkeys(_ITEM_AMOUNTS, _CENTS)}

SCHEMA = ", ".join(
    (
        *(f"{name} STRING" for name in (*_TEXTS, "event_time")),
        *(f"{name} {_CENTS}" for name in _AMOUNTS),
        f"items ARRAY<STRUCT<{', '.join(f'{name}: {kind}' for name, kind in _ITEM.items())}>>",
    )
)
"""Of a plain payload, as ``from_json`` is told it: amounts keep their places, since a decimal has two."""


def read(text: str) -> Column:
    """A column of valid UTF-8 as a struct of SCHEMA, NULL where it is not plain."""
    return F.when(F.col(text).rlike(PATTERN), F.from_json(text, SCHEMA))


def cents(amount: str) -> str:
    """SQL: an amount of SCHEMA as a bigint of cents."""
    return f"CAST({amount} * 100 AS BIGINT)"


_PRICED = "CAST(x.quantity AS DECIMAL(9)) * x.unit_price * 100"
ITEMS = f"""transform(plain.items, x -> named_struct(
    'product_id', x.product_id,
    'category', coalesce(x.category, '{UNCATEGORISED}'),
    'quantity', CASE WHEN x.quantity IS NULL AND x.amount IS NOT NULL THEN 0L ELSE x.quantity END,
    'amount_cents', CASE WHEN x.amount IS NOT NULL THEN {cents("x.amount")}
                         WHEN abs({_PRICED}) < {MAX_CENTS} THEN CAST({_PRICED} AS BIGINT) END))"""
"""SQL: the items of a column ``plain`` as ``tandem.events`` types them."""

# Nothing is tried twice: every + after a quantifier keeps what it took, so the time is linear in the length.
_SPACE = r"[ \t\r\n]*+"
# One by one, not as a range: so Java looks each character up in one table.
_CHARACTER = r'[^"\\' + "".join(rf"\x{code:02x}" for code in range(0x20)) + "]"
_INTEGER = r"(?:0|-?[1-9][0-9]{0,17}+)(?![0-9.eE])"


def _inside(pattern: str) -> str:
    # Zeros without end after the places would be digits without end for a decimal.
    return pattern.removeprefix("^").removesuffix("$").replace("0*", "")


_TEXT = rf'(?:"{_CHARACTER}{{1,{MAX_TEXT_LENGTH}}}+"|{_INTEGER}|null)'
_TIME = rf'(?:"{_inside(EVENT_TIME_PATTERN)}"|null)'
_AMOUNT = rf'(?:"{_inside(AMOUNT_PATTERN)}"|-?(?:0|[1-9][0-9]{{0,10}}+)(?:[.][0-9]{{1,2}}+)?+(?![0-9.eE])|null)'
_QUANTITY = r"(?:-?(?:0|[1-9][0-9]{0,8}+)(?![0-9.eE])|null)"
_OTHER = rf'(?:"{_CHARACTER}*+"|-?(?:0|[1-9][0-9]{{0,17}}+)(?:[.][0-9]{{1,18}}+)?+(?![0-9.eE])|true|false|null)'


def _kinds(texts: tuple[str, ...], amounts: tuple[str, ...], **others: str) -> dict[str, str]:
    return {**dict.fromkeys(texts, _TEXT), **dict.fromkeys(amounts, _AMOUNT), **others}


def _item() -> str:
    """An object of the item's fields in any order. No field stands for two, since none is the one of a group before."""
    kinds = _kinds(_ITEM_TEXTS, _ITEM_AMOUNTS, quantity=_QUANTITY)
    field = "|".join(rf'{name}"{_SPACE}:{_SPACE}{kind}' for name, kind in kinds.items())
    fields = ""
    for nth in reversed(range(len(kinds))):
        before = "|".join(rf'\k<field{earlier}>"' for earlier in range(nth))
        new = rf'"{f"(?!{before})" if before else ""}(?=(?<field{nth}>[a-z_]++))(?:{field}){_SPACE}'
        fields = f"{',' + _SPACE if nth else ''}{new}{f'(?:{fields})?+' if fields else ''}"
    return rf"\{{{_SPACE}{fields}\}}"


def _items() -> str:
    item = _item()
    return rf"(?:\[{_SPACE}(?:{item}{_SPACE}(?:,{_SPACE}(?=\{{)|(?=\])))*+\]|null)"


def _pattern() -> str:
    kinds = _kinds(_TEXTS, _AMOUNTS, event_time=_TIME, items=_items())
    # An empty group is set where its name was found, and refers to nothing before.
    groups = {name: name.replace("_", "") for name in kinds}
    known = "|".join(rf'{name}(?<{groups[name]}>)"{_SPACE}:{_SPACE}{kind}' for name, kind in kinds.items())
    other = rf'(?!(?:{"|".join(kinds)})"){_CHARACTER}{{0,{MAX_TEXT_LENGTH}}}+"{_SPACE}:{_SPACE}{_OTHER}'
    again = "|".join(rf'{name}\k<{group}>"' for name, group in groups.items())
    field = rf'"(?:{known}|{other}){_SPACE}(?:,{_SPACE}(?="(?!{again}))|(?=\}}))'
    return rf"\A{_SPACE}\{{{_SPACE}(?:{field})*+\}}{_SPACE}\z"


PATTERN = _pattern()
"""Of a plain payload as a text in valid UTF-8, for Java."""
