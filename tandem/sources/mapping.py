"""The mapping file (TOML) that says how a CSV or Parquet file becomes order events."""

from __future__ import annotations

import codecs
import re
import tomllib
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from tandem.errors import TandemError

SEE = "docs/bring-your-own-data.md lists every key"


class FileFormat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[file]``: how the bytes become rows. All but ``row_per`` is for CSV; Parquet says the rest itself."""

    format: Literal["csv", "parquet"] | None = None
    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    header: bool = True
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ",", ".", " ", "'", "\u00a0", "\u202f"] = ""
    row_per: Literal["line", "order"] = "line"


class OrderFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[order]``: what is said once per order. Values are column names or SQL expressions over the columns."""

    id: str
    time: str
    customer: str
    time_format: str | None = None
    time_zone: str = "UTC"
    email: str | None = None
    payment_method: str | None = None
    region: str | None = None
    currency: str | None = None


class LineFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[line]``: what is said per line. ``amount`` is the line's money; without it, quantity × unit_price."""

    product: str | None = None
    category: str | None = None
    quantity: str | None = None
    unit_price: str | None = None
    amount: str | None = None


class CancellationFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[cancellation]``: which lines take something back, from which order, and with which sign the file says so."""

    when: str
    cancels: str | None = None
    amounts: Literal["negative", "positive"] = "negative"


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping file. ``name`` is part of every event id: keep it, and a replay run again adds nothing."""

    name: str
    order: OrderFields
    line: LineFields
    file: FileFormat = FileFormat()
    cancellation: CancellationFields | None = None

    def expressions(self) -> dict[str, str]:
        """The mapped fields by their key, such as ``order.id``."""
        fields = {
            "order.id": self.order.id,
            "order.time": self.order.time,
            "order.customer": self.order.customer,
            "order.email": self.order.email,
            "order.payment_method": self.order.payment_method,
            "order.region": self.order.region,
            "order.currency": self.order.currency,
            "line.product": self.line.product,
            "line.category": self.line.category,
            "line.quantity": self.line.quantity,
            "line.unit_price": self.line.unit_price,
            "line.amount": self.line.amount,
            "cancellation.when": self.cancellation.when if self.cancellation else None,
            "cancellation.cancels": self.cancellation.cancels if self.cancellation else None,
        }
        return {key: expression for key, expression in fields.items() if expression is not None}


_SECTIONS: dict[str, type[msgspec.Struct]] = {
    "file": FileFormat,
    "order": OrderFields,
    "line": LineFields,
    "cancellation": CancellationFields,
}


def load_mapping(path: Path) -> Mapping:
    """The mapping in a file. Raises TandemError that names the file and the key that is wrong."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        _know_keys(content)
        mapping = msgspec.convert(content, Mapping)
        _check(mapping)
    except OSError as failure:
        raise TandemError(f"cannot read {path}: {failure.strerror}", "check the path") from failure
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError, ValueError) as failure:
        raise TandemError(f"{path}: {_said_of_keys(str(failure))}", SEE) from failure
    return mapping


def _know_keys(content: dict[str, Any]) -> None:
    for where, keys, known in (
        ("", content, Mapping.__struct_fields__),
        *((f"{name}.", content.get(name), section.__struct_fields__) for name, section in _SECTIONS.items()),
    ):
        for key in keys if isinstance(keys, dict) else ():
            if key not in known:
                there = ", ".join(f"{where}{name}" for name in known)
                raise ValueError(f"unknown key '{where}{key}'; there are {there}")


def _check(mapping: Mapping) -> None:
    file, order, line = mapping.file, mapping.order, mapping.line
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,60}", mapping.name):
        raise ValueError(f"name '{mapping.name}' may have letters, digits, '.', '_' and '-' only")
    if line.amount is None and line.unit_price is None:
        raise ValueError("line.amount or line.unit_price is needed, or there is no money")
    for key, value in (("file.delimiter", file.delimiter), ("file.quote", file.quote)):
        if len(value) != 1:
            raise ValueError(f"{key} must be one character, not '{value}'")
    if file.thousands == file.decimal:
        raise ValueError(f"file.decimal and file.thousands cannot both be '{file.decimal}'")
    try:
        codecs.lookup(file.encoding)
    except LookupError as failure:
        raise ValueError(f"file.encoding '{file.encoding}' is not an encoding that Python knows") from failure
    try:
        ZoneInfo(order.time_zone)
    except (ZoneInfoNotFoundError, ValueError) as failure:
        raise ValueError(f"order.time_zone '{order.time_zone}' is not a time zone such as Europe/London") from failure


def _said_of_keys(message: str) -> str:
    """msgspec's ``- at `$.order.id` `` as ``order.id: …``."""
    said, _, where = message.partition(" - at `$.")
    return f"{where.rstrip('`')}: {said}" if where else said
