"""What the database holds of a date's cells is read as it stands, whatever its keys are made of."""

from __future__ import annotations

import pytest

from reconciliation import sides
from tandem import database, kpis
from tandem.settings import Settings
from tests.reconciliation.books import DAY, at, insert
from tests.reconciliation.scene import RUN

pytestmark = pytest.mark.integration

KEYS = ("milk", "", " ", '"', '""', ",", "a,b", "line\nbreak", "\r\n", "\\.", "\\N", "NULL", "null", "7", "tee – ü 🫖")


def test_a_key_of_any_characters_is_read_as_it_is(clean_database: Settings) -> None:
    cut = {"business_date": DAY, "comparable": True, "rule_version": "1"}
    insert(clean_database, "reconciliation.cuts", run_id=RUN, **cut)
    for number, key in enumerate(KEYS):
        cell = {"cell_start": at(number), "product_id": key, "revenue_cents": -(10**15) + number}
        insert(clean_database, "reconciliation.cut_product_hours", run_id=RUN, **cell)
    with database.connect(clean_database, database.READER) as connection:
        both = sides.read(connection, clean_database, DAY, RUN)
        orders = sides.read(connection, clean_database, DAY, RUN, cubes=[kpis.ORDERS])
    read = both.counted.cubes[kpis.PRODUCTS.name].select("cell_start", "key", "revenue_cents", "units")
    # What the cut lacks is NULL, and as nothing here.
    assert set(read.iter_rows()) == {(at(number), key, -(10**15) + number, 0) for number, key in enumerate(KEYS)}
    assert both.batch.is_empty()
    assert orders.counted.is_empty()
