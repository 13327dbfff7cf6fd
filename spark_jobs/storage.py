"""Folders on whatever storage Spark wrote them to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def delete(spark: SparkSession, folder: str) -> None:
    """Delete a folder with all that is in it; nothing where there is none."""
    # PySpark itself has no call that does.
    path = spark._jvm.org.apache.hadoop.fs.Path(folder)  # noqa: SLF001
    path.getFileSystem(spark._jsc.hadoopConfiguration()).delete(path, True)  # noqa: SLF001
