"""Spark reads what delta-rs wrote: the batch layer rests on it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from shop import Shop, archived

from stream.archive import archive
from stream.archive_upkeep import compact
from stream.archive_verify import verify
from tandem.settings import PROJECT_ROOT, Settings

pytestmark = [pytest.mark.integration, pytest.mark.spark, pytest.mark.slow]

_READ = """
import hashlib, json, sys
from deltalake import DeltaTable
from spark_jobs import delta_files
from spark_jobs.session import open_session
from tandem.settings import settings

spark = open_session("read the archive", settings())

def read(version=None, where=()):
    return delta_files.read(spark, DeltaTable(settings().archive, version=version), where)

def digest(table):
    rows = table.select("partition", "offset", "key", "value").orderBy("partition", "offset").collect()
    found = hashlib.sha256()
    for row in rows:
        found.update(repr((row[0], row[1], row[2] and bytes(row[2]), row[3] and bytes(row[3]))).encode())
    return {"events": len(rows), "digest": found.hexdigest()}

one_date = read(where=[("business_date", "=", "2017-12-23")])
json.dump({
    "columns": read().dtypes,
    "now": digest(read()),
    "then": digest(read(int(sys.argv[1]))),
    "dates": sorted(row[0] for row in read().select("business_date").distinct().collect()),
    "of_one_date": one_date.count(),
}, open(sys.argv[2], "w"))
spark.stop()
"""


def digest(settings: Settings) -> dict[str, object]:
    found = hashlib.sha256()
    records = archived(settings)
    for record in records:
        found.update(repr((record.partition, record.offset, record.key, record.value)).encode())
    return {"events": len(records), "digest": found.hexdigest()}


def test_spark_reads_the_archive_now_compacted_and_as_it_was(topic_prefix: Settings, tmp_path: Path):
    shop = Shop(topic_prefix)
    shop.sell(900)
    archive(topic_prefix, stop=threading.Event(), until_caught_up=True)
    then, version = digest(topic_prefix), verify(topic_prefix).version
    shop.sell(300)
    shop.send([b"\xff\xfe not json", None], partition=2)
    for _ in range(4):
        archive(topic_prefix, stop=threading.Event(), until_caught_up=True)
        shop.sell(9)
    archive(topic_prefix, stop=threading.Event(), until_caught_up=True)
    assert compact(topic_prefix, datetime.now(UTC), print).dates == 3

    answer = tmp_path / "answer.json"
    subprocess.run([sys.executable, "-c", _READ, str(version), str(answer)], cwd=PROJECT_ROOT, check=True, timeout=300)
    read = json.loads(answer.read_text())
    assert read["now"] == digest(topic_prefix)
    assert read["then"] == then
    assert then["events"] == 900
    assert read["dates"] == ["2017-12-21", "2017-12-22", "2017-12-23", "unknown"]
    assert read["of_one_date"] == 412
    assert [tuple(column) for column in read["columns"]] == [
        ("topic", "string"),
        ("partition", "int"),
        ("offset", "bigint"),
        ("kafka_time", "timestamp"),
        ("key", "binary"),
        ("value", "binary"),
        ("business_date", "string"),
    ]
