"""lines: events → their items, one row each, and which of them stand for the event itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_ITEM = ("product_id", "category", "quantity", "amount_cents")
_FIRSTS = ("first_of_product_id", "first_of_category", "first_of_both")


def lines(facts: DataFrame) -> DataFrame:
    """The items of counted events, one row each, with the columns of the event and of the item, and three flags.

    ``first_of_product_id``, ``first_of_category``, ``first_of_both``: no line of the event before it has the same.
    Adding them up counts events, each once, without gathering the lines of an event again from all machines.
    """
    of_event = [name for name in facts.columns if name != "items"]
    nth = F.col("pos") + 1
    return (
        facts.withColumns(
            {"products": F.col("items.product_id"), "categories": F.col("items.category"), "both": F.expr(_BOTH)}
        )
        .select("*", F.posexplode("items"))
        .select("*", *(F.col(f"col.{name}").alias(name) for name in _ITEM))
        .withColumn("first_of_product_id", F.array_position("products", F.col("product_id")) == nth)
        .withColumn("first_of_category", F.array_position("categories", F.col("category")) == nth)
        .withColumn("first_of_both", F.expr(_FIRST_OF_BOTH))
        .select(*of_event, *_ITEM, *_FIRSTS)
    )


_BOTH = "transform(items, x -> struct(x.product_id, x.category))"
# The search is for the rare product that stands twice in an event. It takes no lambda, as ``exists`` does: Spark copies
# all rows of an event for one first, and each still has the event's lists: gigabytes for an order of 10,000 lines.
_FIRST_OF_BOTH = """first_of_product_id OR first_of_category
    OR array_position(both, struct(product_id, category)) = pos + 1"""
