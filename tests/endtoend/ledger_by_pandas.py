"""The difference ledger by plain pandas: from archived payloads and the labels of what was planted, by no code of ours.

A label says what each layer decides about an event; everything else (money, pieces, hours, products, categories,
customers) is read from the archived payload.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pandas as pd
from deltalake import DeltaTable

PLACE = ["cube", "cell_start", "key", "measure", "cause"]


def expected_ledger(archive: str, labels: Path, day: date) -> dict[tuple[str, ...], tuple[int, int]]:
    """By cube, hour, key, measure and cause: how many events, and batch - speed in cents or pieces."""
    planted = pd.read_json(labels, lines=True, convert_dates=False)
    orders = _orders(archive, day).merge(
        planted[~planted.kind.str.startswith("copy_")][["event_id", "speed", "batch", "cause"]],
        on="event_id",
        how="left",
    )
    orders = orders.fillna({"speed": "counted", "batch": "counted"})
    orders["sign"] = (orders.batch == "counted").astype(int) - (orders.speed == "counted").astype(int)
    differing = orders[orders.sign != 0]
    if differing.empty:
        return {}
    lines = differing.explode("items").reset_index(drop=True)
    items = pd.json_normalize(lines["items"].tolist()).reindex(columns=["product_id", "category", "quantity", "amount"])
    lines = lines.assign(**items.fillna({"category": "uncategorised"}))
    whole = (
        lines.assign(key="", cents=_cents(lines.total_amount))
        .groupby("event_id")
        .agg(
            {
                "key": "first",
                "cell_start": "first",
                "cause": "first",
                "sign": "first",
                "cents": "first",
                "quantity": "sum",
            }
        )
    )
    cells = [
        _cells("orders", whole.reset_index()),
        *(
            _cells(cube, lines.assign(key=lines[column], cents=_cents(lines.amount)))
            for cube, column in (("products", "product_id"), ("categories", "category"))
        ),
        _customers(orders, day),
    ]
    found = pd.concat(cells)
    found = found[found.amount != 0]
    return {tuple(row[:5]): (int(row[5]), int(row[6])) for row in found[[*PLACE, "events", "amount"]].to_numpy()}


def _orders(archive: str, day: date) -> pd.DataFrame:
    payloads = []
    for value in DeltaTable(archive).to_pandas(columns=["value"])["value"].dropna():
        try:
            payloads.append(json.loads(value))
        except ValueError:
            continue
    events = pd.DataFrame([event for event in payloads if isinstance(event, dict)])
    events = events[(events.event_type == "order_created") & events.event_time.astype(str).str.startswith(str(day))]
    hours = pd.to_datetime(events.event_time, utc=True, errors="coerce").dt.floor("h")
    return events.assign(cell_start=hours.dt.strftime("%Y-%m-%dT%H:%MZ"))


def _cents(amounts: pd.Series) -> pd.Series:
    return (amounts.astype(float) * 100).round().astype(int)


def _cells(cube: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Sums by cell of rows with event_id, cell_start, key, cause, sign, cents and quantity."""
    rows = rows.assign(revenue_cents=rows.sign * rows.cents, units=rows.sign * rows.quantity)
    events = rows.drop_duplicates(["event_id", "key"])
    place = ["cell_start", "key", "cause"]
    count = events.groupby(place).agg(events=("sign", "size"), order_count=("sign", "sum"))
    sums = rows.groupby(place)[["revenue_cents", "units"]].sum().join(count).reset_index()
    return sums.melt([*place, "events"], var_name="measure", value_name="amount").assign(cube=cube)


def _customers(orders: pd.DataFrame, day: date) -> pd.DataFrame:
    by = {side: set(orders[orders[side] == "counted"].customer_id) for side in ("batch", "speed")}
    alone = by["batch"] ^ by["speed"]
    causes = orders[orders.customer_id.isin(alone) & (orders.sign != 0)].groupby("customer_id").cause.min()
    signed = pd.DataFrame({"cause": causes, "sign": [1 if one in by["batch"] else -1 for one in causes.index]})
    counted = signed.groupby("cause").agg(events=("sign", "size"), amount=("sign", "sum")).reset_index()
    return counted.assign(cube="distinct", cell_start=f"{day}T00:00Z", key="", measure="unique_customers")
