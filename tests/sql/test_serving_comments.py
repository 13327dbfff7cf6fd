"""A value with corrections and one without look the same, so all of ``serving`` says which it is."""

from __future__ import annotations

import re

import pytest

from tandem import database
from tandem.settings import Settings

pytestmark = pytest.mark.integration

# What stands in a function's text Postgres does not track: there the schema's name is looked for.
_OBJECTS = """
WITH RECURSIVE reads AS (
    SELECT c.oid, d.refobjid AS relation
    FROM pg_class AS c JOIN pg_rewrite AS r ON r.ev_class = c.oid
    JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
         AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> c.oid
    WHERE c.relnamespace = 'serving'::regnamespace
    UNION
    SELECT reads.oid, d.refobjid
    FROM reads JOIN pg_rewrite AS r ON r.ev_class = reads.relation
    JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
         AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> reads.relation
)
SELECT c.relname, obj_description(c.oid, 'pg_class'),
       bool_or(read.relnamespace = 'speed'::regnamespace AND read.relname <> 'partitions'),
       bool_or(read.oid = 'speed.adjustments'::regclass)
FROM pg_class AS c JOIN reads USING (oid) JOIN pg_class AS read ON read.oid = relation
WHERE c.relkind = 'v' GROUP BY c.oid, c.relname
UNION ALL
SELECT proname, obj_description(oid, 'pg_proc'), prosrc ~ 'speed[.]', prosrc ~ 'speed[.]adjustments'
FROM pg_proc WHERE pronamespace = 'serving'::regnamespace
"""
BESIDE = {"hourly_trend"}
"""Reads corrections, and shows them in columns of their own."""


@pytest.fixture(scope="module")
def served(postgres: Settings) -> list[tuple[str, str, bool, bool]]:
    """Name, comment, whether it shows what the stream counted, whether it reads corrections."""
    with database.connect(postgres, database.OWNER) as owner:
        found = owner.execute(_OBJECTS).fetchall()
    assert {"daily", "product_metrics", "customer_metrics", "top_products"} <= {name for name, *_ in found}
    return [(name, comment or "", of_stream, corrected) for name, comment, of_stream, corrected in found]


def test_every_view_and_function_of_serving_says_what_it_is(served: list[tuple[str, str, bool, bool]]) -> None:
    assert [name for name, comment, *_ in served if not comment] == []


def test_what_shows_figures_of_the_stream_says_whether_corrections_are_in_them_and_it_is_so(
    served: list[tuple[str, str, bool, bool]],
) -> None:
    said = {name: re.findall(r"Corrections: (included|not included|none)", comment) for name, comment, *_ in served}
    assert [name for name, _, of_stream, _ in served if of_stream and len(said[name]) != 1] == []
    included = {name for name, words in said.items() if words == ["included"]}
    assert included == {name for name, *_, corrected in served if corrected} - BESIDE
