"""The archive and order_facts on S3: by their addresses and Amazon's own variables, with a server of moto's."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from installations import free_ports, tandem
from running import wait_for
from shop import Shop, archived, ends, visible

from spark_jobs import archive as spark_archive
from spark_jobs.session import spark_conf
from stream import archive_upkeep as upkeep
from stream.archive import archive, next_offsets
from stream.archive_table import SCHEMA, FencedError, MasterDataset, Move
from stream.archive_verify import verify
from tandem.local.jars import ensure_jars
from tandem.serving import Layer, read
from tandem.settings import Settings, settings
from tandem.topics import ORDER_EVENTS

pytestmark = pytest.mark.integration

DAY = date(2017, 12, 23)


@pytest.fixture
def on_s3(topic_prefix: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    # A process of its own: delta-rs waits for some answers without letting other Python threads run.
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }.items():
        monkeypatch.setenv(name, value)
    try:
        wait_for(lambda: make_bucket(f"{address}/books"))
        yield topic_prefix.model_copy(
            update={"archive_uri": "s3://books/archive", "order_facts_uri": "s3://books/order_facts"}
        )
    finally:
        server.kill()
        server.wait()


def make_bucket(address: str) -> bool:
    try:
        urllib.request.urlopen(urllib.request.Request(address, method="PUT")).close()  # noqa: S310 - our own server
    except OSError:
        return False
    return True


def catch_up(own: Settings) -> None:
    archive(own, stop=threading.Event(), until_caught_up=True)


def test_the_archiver_keeps_every_record_once_on_s3_through_compaction_and_retention(on_s3: Settings) -> None:
    shop = Shop(on_s3)
    for _ in range(6):
        shop.sell(90)
        catch_up(on_s3)
    assert upkeep.compact(on_s3, datetime.now(UTC), print).dates == 3
    shop.sell(30)
    catch_up(on_s3)
    assert archived(on_s3) == visible(on_s3)
    assert next_offsets(on_s3) == ends(on_s3)
    assert verify(on_s3).problems == ()
    assert upkeep.vacuum(on_s3.model_copy(update={"archive_file_retention": timedelta(0)})) >= 18
    assert archived(on_s3) == visible(on_s3)
    short = on_s3.model_copy(update={"archive_retention": timedelta(days=31)})
    assert upkeep.retain(short, datetime(2018, 1, 22, 12, tzinfo=UTC)).records == 190
    assert spark_archive.look(on_s3).counts == {date(2017, 12, 22): 190, DAY: 190}


def test_of_two_archivers_on_s3_the_later_is_refused(on_s3: Settings) -> None:
    early = MasterDataset.find_or_create(on_s3.archive, ORDER_EVENTS)
    early.open_partitions(1, {0: 0})
    late = MasterDataset.find(on_s3.archive, ORDER_EVENTS)
    assert late is not None
    nothing = SCHEMA.empty_table()
    early.append(nothing, {0: Move(0, 2)})
    with pytest.MonkeyPatch.context() as blind:
        blind.setattr(late, "refresh", lambda: None)
        with pytest.raises(FencedError):
            late.append(nothing, {0: Move(0, 1)})


def test_spark_knows_s3_only_where_it_is_used(on_s3: Settings, topic_prefix: Settings) -> None:
    told = spark_conf(on_s3)
    assert told["spark.hadoop.fs.s3a.endpoint"].startswith("http://127.0.0.1:")
    assert not any("s3" in name for name in spark_conf(topic_prefix))


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.usefixtures("clean_database")
def test_the_batch_layer_reads_and_writes_s3(on_s3: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("archive_uri", "order_facts_uri"):
        monkeypatch.setenv(f"TANDEM_{name.upper()}", getattr(on_s3, name))
    settings.cache_clear()
    ensure_jars()
    Shop(on_s3).sell(20, days=2)
    done = tandem(on_s3, "batch", "--date", str(DAY), "--json", TANDEM_CUT_TIMEOUT="PT0S")
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)[0]["published"].values()) == {1}
    found = read(on_s3, DAY, Layer.BATCH).metrics
    assert (found["order_count"], found["revenue_cents"]) == (10, 1000)
    again = tandem(on_s3, "batch", "--date", str(DAY), "--json", TANDEM_CUT_TIMEOUT="PT0S")
    assert set(json.loads(again.stdout)[0]["published"].values()) == {2}
    assert not (on_s3.state_dir / "order_facts").exists()
