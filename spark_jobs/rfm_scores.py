"""RFM scores of 1 to 5 in which equal customers get equal scores, in whole numbers only.

score = 1 + floor(5 · (mean_rank − 0.5) / n), where customers with equal values share the mean of their ranks. NTILE
would split ties by row order, so that the same customer changes segment from run to run. A tie of everyone is 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

MINIMUM_POPULATION = 25
"""Five customers a score. With fewer, ranks say little, and the fixed thresholds apply."""
MINIMUM_VALUES = 5
"""A dimension with fewer distinct values cannot fill five scores; its rows are flagged."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """What is ranked. ``thresholds``: the bounds of scores 5, 4, 3 and 2 where the population is small."""

    name: str
    value: str
    low_is_good: bool
    thresholds: tuple[int, int, int, int]

    @property
    def score(self) -> str:
        """Name of the score's column."""
        return f"{self.name}_score"


DIMENSIONS = (
    Dimension("recency", "recency_days", low_is_good=True, thresholds=(7, 30, 90, 180)),
    Dimension("frequency", "frequency", low_is_good=False, thresholds=(10, 6, 3, 2)),
    Dimension("monetary", "monetary_cents", low_is_good=False, thresholds=(20_000, 10_000, 5_000, 2_000)),
)


def with_scores(customers: DataFrame) -> DataFrame:
    """Adds the three scores and ``flags`` to one row per ``as_of`` and customer with the dimensions' values."""
    ranked = reduce(_with_rank, DIMENSIONS, customers)
    small = F.col(f"{DIMENSIONS[0].name}_customers") < MINIMUM_POPULATION
    scores = [
        F.when(small, _by_threshold(dimension)).otherwise(_by_rank(dimension)).cast("short").alias(dimension.score)
        for dimension in DIMENSIONS
    ]
    flags = [F.when(small, "small_population")]
    flags += [F.when(F.col(f"{d.name}_values") < MINIMUM_VALUES, f"few_values:{d.name}") for d in DIMENSIONS]
    return ranked.select(*customers.columns, *scores, F.concat_ws(",", *flags).alias("flags"))


def _with_rank(customers: DataFrame, dimension: Dimension) -> DataFrame:
    """Adds twice the mean rank, a whole number, the number of distinct values and that of customers; the best rank
    highest.

    Ranks are made over the values with their counts, so that the one task that sees an ``as_of`` whole sees a row per
    value, not per customer.
    """
    order = F.col(dimension.value).desc() if dimension.low_is_good else F.col(dimension.value).asc()
    upwards = Window.partitionBy("as_of").orderBy(order)
    whole = Window.partitionBy("as_of")
    values = (
        customers.groupBy("as_of", dimension.value)
        .agg(F.count("*").alias("alike"))
        .withColumn("up_to", F.sum("alike").over(upwards))
        .select(
            "as_of",
            dimension.value,
            (2 * (F.col("up_to") - F.col("alike")) + F.col("alike") + 1).alias(f"{dimension.name}_rank2"),
            F.count("*").over(whole).alias(f"{dimension.name}_values"),
            F.sum("alike").over(whole).alias(f"{dimension.name}_customers"),
        )
    )
    return customers.join(values, ["as_of", dimension.value])


def _by_rank(dimension: Dimension) -> Column:
    return F.expr(f"1 + (5 * ({dimension.name}_rank2 - 1)) div (2 * {dimension.name}_customers)")


def _by_threshold(dimension: Dimension) -> Column:
    value = F.col(dimension.value)
    score: Column = F.lit(1)
    for points, bound in zip((2, 3, 4, 5), reversed(dimension.thresholds), strict=True):
        score = F.when(value <= bound if dimension.low_is_good else value >= bound, points).otherwise(score)
    return score
