"""The Spark session of every job, and the configuration that makes a laptop's session small, quick and private."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from spark_jobs import jvm_classes
from tandem.local.jars import spark_jars
from tandem.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SEMANTICS = {
    # A timestamp is a UTC instant; the business time zone enters only where an hour or a date is cut out.
    "spark.sql.session.timeZone": "UTC",
    # An overflow is an error, never a wrapped number.
    "spark.sql.ansi.enabled": "true",
    "spark.sql.variant.allowDuplicateKeys": "false",
    # Rows that cannot be read are an error, never fewer rows.
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.files.ignoreCorruptFiles": "false",
    # Spark's own default is a type that Delta tables do not have.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}
"""What the figures depend on: set by the session itself, whatever it was submitted with."""


def spark_conf(config: Settings) -> dict[str, str]:
    """Spark properties for one machine: master, memory, everything bound to the loopback address."""
    return {
        "spark.master": config.spark_master,
        "spark.driver.memory": config.spark_driver_memory,
        "spark.driver.extraJavaOptions": " ".join([*jvm_classes.options(), config.spark_driver_java_options]),
        "spark.driver.extraClassPath": os.pathsep.join(jvm_classes.class_path()),
        "spark.driver.host": config.host,
        "spark.driver.bindAddress": config.host,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.pyspark.python": sys.executable,
        # Adaptive execution merges shuffle partitions but never splits a small number into more.
        "spark.sql.shuffle.partitions": "8",
        "spark.sql.adaptive.coalescePartitions.initialPartitionNum": "8",
        # The default of 128 groups, beyond which sketches are made by sorting all rows, is less than a day's cells.
        "spark.sql.objectHashAggregate.sortBased.fallbackThreshold": "2000",
        # A table of a year has files enough for Spark to look at them by a job of as many tasks.
        "spark.sql.sources.parallelPartitionDiscovery.threshold": "32" if config.uses_s3 else "100000",
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "16",
        "spark.sql.warehouse.dir": str(config.state_dir / "spark-warehouse"),
        **(_s3_conf(os.environ) if config.uses_s3 else {}),
        **SEMANTICS,
    }


def _s3_conf(environment: Mapping[str, str]) -> dict[str, str]:
    """S3 as delta-rs is told of it: by Amazon's own variables. Both find the keys where Amazon's tools look."""
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL", "")
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION", "")
    return {
        "spark.jars": ",".join(str(jar) for jar in spark_jars()),
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",  # so that s3:// means the same to both
        **({"spark.hadoop.fs.s3a.endpoint.region": region} if region else {}),
        **(
            {"spark.hadoop.fs.s3a.endpoint": endpoint, "spark.hadoop.fs.s3a.path.style.access": "true"}
            if endpoint
            else {}
        ),
    }


def submitted() -> bool:
    """Whether spark-submit started this process and with it the JVM, so that its properties stand already."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def open_session(name: str, config: Settings) -> SparkSession:
    """The session of this process. Under spark-submit its properties win, except SEMANTICS."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName(name)
    for key, value in ({} if submitted() else spark_conf(config)).items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    for key, value in SEMANTICS.items():
        spark.conf.set(key, value)
    return spark
