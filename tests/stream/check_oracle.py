"""The checks as predicates in plain Python, on a typed event given as a dictionary."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

ORDERS = ("order_created", "order_cancelled", "order_amended")
KINDS = (*ORDERS, "payment_succeeded", "payment_failed")
Row = dict[str, Any]


def off(row: Row, wanted: int) -> bool:
    sound = row["item_count"] > 0 and row["bad_item_count"] == 0 and (row["total_cents"] or 0) > 0
    return sound and abs(row["items_cents"] - wanted) * 100 > row["total_cents"]


PREDICATES: dict[str, Callable[[Row], bool]] = {
    "MALFORMED_PAYLOAD": lambda r: not r["payload_ok"],
    "MISSING_EVENT_TYPE": lambda r: r["payload_ok"] and r["event_type"] is None,
    "MISSING_EVENT_ID": lambda r: r["event_type"] in KINDS and r["event_id"] is None,
    "INVALID_EVENT_TIME": lambda r: r["event_type"] in KINDS and r["event_time"] is None,
    "FUTURE_ORDER_DATE": lambda r: r["event_type"] in KINDS and (r["ahead_us"] or 0) > 3_600_000_000,
    "MISSING_ORDER_ID": lambda r: r["event_type"] in KINDS and r["order_id"] is None,
    "MISSING_CUSTOMER_ID": lambda r: r["event_type"] in KINDS and r["customer_id"] is None,
    "INVALID_TOTAL_AMOUNT": lambda r: r["event_type"] in ORDERS and (r["total_cents"] or 0) <= 0,
    "INVALID_PREVIOUS_TOTAL": lambda r: r["event_type"] == "order_amended" and (r["previous_total_cents"] or 0) <= 0,
    "MISSING_ORDER_ITEMS": lambda r: r["event_type"] in ORDERS and r["item_count"] == 0,
    "INVALID_ITEM": lambda r: r["event_type"] in ORDERS and r["bad_item_count"] > 0,
    "TOTAL_AMOUNT_MISMATCH": lambda r: r["event_type"] in ORDERS[:2] and off(r, r["total_cents"] or 0),
    "AMENDED_AMOUNT_MISMATCH": lambda r: (
        r["event_type"] == "order_amended"
        and r["previous_total_cents"] is not None
        and off(r, (r["total_cents"] or 0) - r["previous_total_cents"])
    ),
    "FOREIGN_CURRENCY": lambda r: r["event_type"] in KINDS and r["foreign_currency"],
    "INVALID_EMAIL_FORMAT": lambda r: (
        r["event_type"] in KINDS
        and r["customer_email"] is not None
        and not re.fullmatch(r"[^@ ]+@[^@ ]+\.[^@ ]+", r["customer_email"])
    ),
}


def severe(code: str, kind: str | None) -> bool:
    """Whether a failed check keeps the event from counting."""
    return code != "INVALID_EMAIL_FORMAT" and not (code == "MISSING_ORDER_ITEMS" and kind != "order_created")


def verdict(row: Row) -> tuple[str | None, str]:
    failed = sorted(code for code, fails in PREDICATES.items() if fails(row))
    if row["event_type"] is not None and row["event_type"] not in KINDS:
        return "ignored", ",".join(failed)
    critical = any(severe(code, row["event_type"]) for code in failed)
    return ("quarantined" if critical else None), ",".join(failed)
