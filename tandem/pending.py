"""Tables of the speed layer that are written packed: which, and what a packed row states once (see stream.pack).

``speed.<name>_pending`` holds what is not yet settled into ``speed.<name>``; ``speed.<name>_all`` shows both. Readers
take that one, and add up rows with the same key.
"""

from __future__ import annotations

from tandem.rollups import ROLLUPS

ALL_PARTITIONS = -1
"""The partition of settled rows: they are sums over all of them."""

PACKS: dict[str, tuple[str, ...]] = {
    "product_hours": ("business_date", "pane_start"),
    "customer_days": ("business_date",),
    "product_totals": (),
    **{rollup.pane_table: ("business_date", "pane_start") for rollup in ROLLUPS},
}


def readable(table: str) -> str:
    """Where to read a table of the speed layer."""
    return f"{table}_all" if table in PACKS else table
