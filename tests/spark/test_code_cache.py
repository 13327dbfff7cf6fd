"""The JVM keeps what it compiled in a cache. Full, it stops compiling, and then dies of what looks unrelated."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

ALL_JOBS = 48 << 20
"""Bytes: what all jobs of one date filled, and all that a JVM with only the quick compiler has by default."""


def test_what_all_jobs_of_a_date_compile_fits_four_times(spark: SparkSession) -> None:
    pools = spark.sparkContext._jvm.java.lang.management.ManagementFactory.getMemoryPoolMXBeans()  # type: ignore[union-attr]
    room = sum(pool.getUsage().getMax() for pool in pools if pool.getName().startswith("Code"))
    assert room >= 4 * ALL_JOBS
