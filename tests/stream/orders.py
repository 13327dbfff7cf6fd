"""Order events as producers send them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from stream.types import Records


def money(cents: int) -> str:
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def line(product: str, cents: int, *, quantity: int = 1, category: str | None = "GROCERY") -> dict[str, Any]:
    return {"product_id": product, "category": category, "quantity": quantity, "amount": money(cents)}


def order(
    event_id: str,
    moment: datetime,
    *lines: dict[str, Any],
    kind: str = "order_created",
    customer: str = "c1",
    total: int | None = None,
    **more: Any,
) -> dict[str, Any]:
    """The payload of one event; its total is that of its lines unless it says another, in cents."""
    of_lines = sum(round(float(item["amount"]) * 100) for item in lines)
    return {
        "event_id": event_id,
        "event_type": kind,
        "event_time": moment.isoformat().replace("+00:00", "Z"),
        "order_id": f"o-{event_id}",
        "customer_id": customer,
        "total_amount": money(of_lines if total is None else total),
        "items": list(lines),
        "currency": "USD",
        **more,
    }


def encode(payload: dict[str, Any]) -> bytes:
    return json.dumps(payload).encode()


LATE_IN_2096_MS = 4_000_000_000_000


def records(values: list[bytes | None], partitions: list[int] | None = None) -> Records:
    """Records as a broker would keep them whose clock is ahead of every event; offsets count up by partition."""
    partitions = partitions or [0] * len(values)
    by_partition = sorted(zip(partitions, range(len(values)), values, strict=True), key=lambda row: row[:2])
    counts: dict[int, int] = {}
    offsets = []
    for partition, _, _ in by_partition:
        offsets.append(counts.get(partition, 0))
        counts[partition] = offsets[-1] + 1
    return Records(
        [partition for partition, _, _ in by_partition],
        offsets,
        [LATE_IN_2096_MS] * len(values),
        [None] * len(values),
        [value for _, _, value in by_partition],
    )


LINES = st.lists(
    st.builds(
        line,
        st.sampled_from(["p1", "p2", "p3"]),
        st.integers(1, 5_000),
        quantity=st.integers(0, 9),
        category=st.sampled_from(["GROCERY", "DELI", None]),
    ),
    min_size=1,
    max_size=4,
)


def events_at(moments: st.SearchStrategy[datetime], ids: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Creations, cancellations, amendments and payments of a few customers at these moments."""

    def build(event_id: str, moment: datetime, lines: list[dict[str, Any]], kind: str, customer: str) -> dict[str, Any]:
        if kind.startswith("payment"):
            return order(event_id, moment, kind=kind, customer=customer, total=500)
        if kind == "order_amended":
            total = 9_000 + sum(round(float(item["amount"]) * 100) for item in lines)
            before = {"previous_total_amount": "90.00"}
            return order(event_id, moment, *lines, kind=kind, customer=customer, total=total, **before)
        return order(event_id, moment, *lines, kind=kind, customer=customer)

    kinds = st.sampled_from(
        ["order_created", "order_created", "order_cancelled", "order_amended", "payment_failed", "payment_succeeded"]
    )
    return st.builds(build, ids, moments, LINES, kinds, st.sampled_from(["c1", "c2", "c3"]))
