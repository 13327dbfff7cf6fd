"""The planner must send a key where Kafka's clients send it, or lateness would be planned in the wrong partition."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.settings import Settings
from tandem.sources.partitioning import murmur2, partition_of

# From the tests of Kafka's own Java client (UtilsTest.testMurmur2), signed there.
KAFKA_VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "signed"), KAFKA_VECTORS.items())
def test_the_hash_is_that_of_kafkas_own_tests(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed % 2**32


@settings(deadline=None)
@given(key=st.binary(max_size=100), partitions=st.integers(1, 500))
def test_every_key_has_one_partition_of_those_there_are(key: bytes, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) < partitions
    assert partition_of(key, partitions) == partition_of(bytes(key), partitions)


@pytest.mark.integration
def test_a_key_goes_where_the_producer_sends_it(topic_prefix: Settings) -> None:
    sent: list[tuple[bytes, int]] = []
    producer = Producer({"bootstrap.servers": topic_prefix.brokers, "partitioner": "murmur2_random"})
    # Every length modulo 4, since the hash treats the rest of a word apart, and bytes above 127.
    keys = [str(number).encode() for number in range(500)] + [bytes([200 + n]) * n for n in range(1, 40)]
    for key in keys:
        producer.produce(
            topic_prefix.topic("order-events"),
            b"{}",
            key,
            on_delivery=lambda _, message: sent.append((message.key(), message.partition())),
        )
        producer.poll(0)
    producer.flush(30)
    assert len(sent) == len(keys)
    assert [partition_of(key, 12) for key, _ in sent] == [partition for _, partition in sent]
    assert {partition for _, partition in sent} == set(range(12))
