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
        facts.withColumns({"products": F.col("items.product_id"), "categories": F.col("items.category")})
        .select("*", F.posexplode("items"))
        .select("*", *(F.col(f"col.{name}").alias(name) for name in _ITEM))
        .withColumn("first_of_product_id", F.array_position("products", F.col("product_id")) == nth)
        .withColumn("first_of_category", F.array_position("categories", F.col("category")) == nth)
        .withColumn("first_of_both", F.expr(_FIRST_OF_BOTH))
        .select(*of_event, *_ITEM, *_FIRSTS)
    )


# The search is for the rare product that stands twice in an event.
_FIRST_OF_BOTH = """first_of_product_id OR first_of_category
    OR NOT exists(slice(items, 1, pos), x -> x.product_id = product_id AND x.category = category)"""
