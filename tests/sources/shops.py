"""Small files of made-up shops, and the source that a mapping makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from textwrap import dedent
from typing import Any

from tandem.settings import Settings
from tandem.sources.lines import assemble
from tandem.sources.mapping import load_mapping
from tandem.sources.own_data import OwnData, open_file
from tandem.sources.payloads import Payload

SHOP = Settings(business_timezone="UTC", currency="EUR", _env_file=None)

PLAIN = """
    name = "shop"
    [order]
    id = "id"
    time = "time"
    customer = "customer"
    [line]
    product = "product"
    quantity = "pieces"
    amount = "amount"
"""
HEADER = "id,time,customer,product,pieces,amount\n"


@contextmanager
def shop(
    folder: Path, content: str | bytes, mapping: str = PLAIN, *, first: date | None = None, last: date | None = None
) -> Iterator[OwnData]:
    """The source that the mapping makes of a file with this content."""
    data, toml = folder / "shop.csv", folder / "shop.toml"
    data.write_bytes(content if isinstance(content, bytes) else content.encode())
    toml.write_text(dedent(mapping), encoding="utf-8")
    with open_file(data, load_mapping(toml), first, last, SHOP) as source:
        yield source


def payloads(source: OwnData) -> list[Payload]:
    return [event.payload for event in assemble(source)]


def sold(source: OwnData) -> dict[str, Any]:
    """Total of each order by its id."""
    return {payload.order_id: payload.total_amount for payload in payloads(source)}
