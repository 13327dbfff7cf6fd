"""What the DAGs read and make, as Airflow's assets: the *Assets* page shows what waits for what, and what came when.

An entry of that page names the dates and what was made of them: versions, or the number of the comparison.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Asset

MASTER_DATASET = Asset("master_dataset", group="tandem")
"""Every record of Kafka below the cut."""
ORDER_FACTS = Asset("order_facts", group="tandem")
"""One checked and deduplicated row per event."""
BATCH_VIEWS = Asset("batch_views", group="tandem")
"""The published versions of daily metrics, segments and rankings."""
RECONCILIATION = Asset("reconciliation", group="tandem")
"""What both layers say of a date, and which orders make the difference."""
CORRECTIONS = Asset("corrections", group="tandem")
"""What the speed layer was told to book."""
REPORT = Asset("report", group="tandem")
"""What was mailed."""


def note(context: dict[str, Any], asset: Asset, **made: Any) -> None:
    """Write into the asset's new entry what was made."""
    context["outlet_events"][asset].extra = made
