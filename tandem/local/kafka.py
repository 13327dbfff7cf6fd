"""Apache Kafka, one KRaft node from the resolved jars, with the platform's topics."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from uuid import uuid4

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from tandem import kafka_client
from tandem.compacted import refuse_compacted
from tandem.errors import TandemError
from tandem.local import jars, process
from tandem.local.java import find_java
from tandem.local.service import Service
from tandem.settings import Settings
from tandem.topics import TOPICS, Topic

NAME = "kafka"
_AS_THE_BROKERS_HAVE_IT = -1
_MEANT = {"message.timestamp.type": ", by which both layers take the same one of two copies of an event for the first"}
"""What a setting that figures depend on is for."""
_LOGGING = Path(__file__).with_name("kafka-log4j2.properties")
_JVM = ("-Xmx512m", "-Xms256m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true")
_BRIEF = ("-XX:TieredStopAtLevel=1",)
"""For a JVM that ends within seconds: what the thorough compiler costs is never gained."""


def start(settings: Settings) -> None:
    """Start the broker, formatting its folder the first time, and bring the topics to what tandem.topics says."""
    if process.find(settings, NAME) is None:
        jars.ensure_jars()
        home = settings.state_dir.resolve() / "kafka"
        config = _write_config(settings, home)
        if not (home / "data" / "meta.properties").exists():
            _format(settings, config)
        options = settings.kafka_java_options.split()
        process.start(settings, process.Program(name=NAME, argv=_java(options, "kafka.Kafka", str(config)), cwd=home))
    process.wait_until_ready(settings, NAME, lambda: is_ready(settings))
    ensure_topics(settings)


def is_ready(settings: Settings) -> bool:
    """Whether the broker answers and leads."""
    try:
        return bool(_admin(settings).list_topics(timeout=2).brokers)
    except KafkaException:
        return False


def ensure_topics(settings: Settings, topics: Sequence[Topic] = TOPICS) -> None:
    """Create the missing topics, and bring the settings of the others into line: on the local broker, and only there.

    Partitions are never changed, and nothing is kept for less long than it is: what Kafka deletes is gone. On other
    brokers somebody made the topics as they are; how they differ is said.

    Raises TandemError where orders are compacted: to stop that does not bring back what is gone, so somebody must know.
    """
    admin = _admin(settings)
    is_local = not settings.kafka_bootstrap
    replication = 1 if is_local else _default_replication(admin)
    wanted = {settings.topic(topic.name): topic for topic in topics}
    configs = {
        name: topic.local_config() if is_local else topic.config_of(replication) for name, topic in wanted.items()
    }
    existing = wanted.keys() & admin.list_topics(timeout=30).topics.keys()
    missing = [
        NewTopic(
            name,
            num_partitions=topic.partitions,
            replication_factor=1 if is_local else _AS_THE_BROKERS_HAVE_IT,
            config=configs[name],
        )
        for name, topic in wanted.items()
        if name not in existing
    ]
    if missing:
        for created in admin.create_topics(missing, operation_timeout=30).values():
            created.result()
    _wait_for_leaders(admin, set(wanted))
    old = {name: configs[name] for name in sorted(existing)}
    if is_local:
        _alter(admin, _changes(old, _described(admin, old)))
    else:
        _say_what_differs(admin, old)
    refuse_compacted(settings, admin)


def _default_replication(admin: AdminClient) -> int:
    """On how many brokers a partition is where nobody says; 0 where they do not tell, as without leave to ask."""
    broker = ConfigResource(ResourceType.BROKER, str(min(admin.list_topics(timeout=30).brokers)))
    try:
        said = admin.describe_configs([broker], request_timeout=30)[broker].result()["default.replication.factor"]
        return int(said.value)
    except (KafkaException, KeyError, TypeError):
        return 0


def _described(admin: AdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """The settings that topics have. Raises KafkaException where the broker does not say."""
    asked = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    answers = admin.describe_configs(asked, request_timeout=30) if asked else {}
    return {
        resource.name: {key: entry.value for key, entry in answer.result().items()}
        for resource, answer in answers.items()
    }


def _changes(
    wanted: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, str]]:
    """By topic, what is to be set so that it is as wanted, but for what would delete what it keeps."""
    return {
        topic: {key: value for key, value in config.items() if _differs(key, now[topic].get(key, ""), value)}
        for topic, config in wanted.items()
    }


def _differs(key: str, now: str, wanted: str) -> bool:
    """Whether a setting is another one than wanted, and not because records are kept longer."""
    if key == "retention.ms":
        return now != "-1" and (wanted == "-1" or int(now) < int(wanted))
    if key == "cleanup.policy" and "delete" in wanted and "delete" not in now:
        return False
    return set(now.split(",")) != set(wanted.split(","))


def _alter(admin: AdminClient, changes: Mapping[str, Mapping[str, str]]) -> None:
    resources = [
        ConfigResource(
            ResourceType.TOPIC,
            name,
            incremental_configs=[
                ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in config.items()
            ],
        )
        for name, config in changes.items()
        if config
    ]
    if resources:
        for changed in admin.incremental_alter_configs(resources).values():
            changed.result()


def _say_what_differs(admin: AdminClient, wanted: Mapping[str, Mapping[str, str]]) -> None:
    """In one line, of topics that stay as they are. Nothing where the brokers do not tell: they work all the same."""
    try:
        now = _described(admin, wanted)
    except KafkaException:
        return
    differences = [
        f"{topic} {key}={now[topic].get(key)} (declared {value}{_MEANT.get(key, '')})"
        for topic, config in _changes(wanted, now).items()
        for key, value in config.items()
    ]
    if differences:
        print(f"tandem: topics left as they are: {', '.join(differences)}", file=sys.stderr, flush=True)


def _wait_for_leaders(admin: AdminClient, names: set[str]) -> None:
    """Return once the broker leads every partition: a topic is acknowledged before, and a first message would fail."""
    deadline = time.monotonic() + process.READY_S
    while True:
        known = admin.list_topics(timeout=30).topics
        led = {
            name
            for name in names & known.keys()
            if known[name].partitions and all(part.leader >= 0 for part in known[name].partitions.values())
        }
        if led == names:
            return
        if time.monotonic() > deadline:
            raise TandemError(f"Kafka made topic {min(names - led)} and does not lead it", "see the log of kafka")
        time.sleep(0.1)


def delete_topics(settings: Settings, topics: Sequence[Topic] = TOPICS) -> None:
    """Delete these topics under these settings' prefix. Raises KafkaException where one is not there."""
    admin = _admin(settings)  # kept until the last answer: without it they are lost
    names = [settings.topic(topic.name) for topic in topics]
    for deleted in admin.delete_topics(names, operation_timeout=30).values():
        deleted.result()


def has_members(settings: Settings, group: str) -> bool:
    """Whether a consumer group has a member. False where the broker does not answer."""
    admin = _admin(settings)
    try:
        return bool(admin.describe_consumer_groups([group], request_timeout=5)[group].result().members)
    except KafkaException:
        return False


def _admin(settings: Settings) -> AdminClient:
    return kafka_client.admin(settings)


def _java(options: Sequence[str], main: str, *arguments: str) -> tuple[str, ...]:
    logging = f"-Dlog4j2.configurationFile={_LOGGING}"
    return (str(find_java().command), *_JVM, *options, logging, "-cp", jars.kafka_classpath(), main, *arguments)


def _write_config(settings: Settings, home: Path) -> Path:
    """Write server.properties anew at every start, so that a changed port takes effect."""
    controller = f"{settings.host}:{settings.kafka_controller_port}"
    broker = f"{settings.host}:{settings.kafka_port}"
    config = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{broker}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(home / "data"),
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        # Whoever wants a dead worker's partitions sooner than after six seconds may ask for it.
        "group.min.session.timeout.ms": "1000",
        # One broker: what Kafka keeps about itself exists once, and in few partitions.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "8",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # An index takes its largest size in memory maps from the start, and here are many small partitions.
        "log.index.size.max.bytes": str(1024 * 1024),
    }
    home.mkdir(parents=True, exist_ok=True)
    path = home / "server.properties"
    path.write_text("".join(f"{key}={value}\n" for key, value in config.items()), encoding="utf-8")
    return path


def _format(settings: Settings, config: Path) -> None:
    """Give the folder its cluster id; Kafka refuses to format one that has any."""
    log = process.log_path(settings, "kafka-format")
    log.parent.mkdir(parents=True, exist_ok=True)
    cluster = uuid4().hex[:22]  # an id is 22 characters of URL-safe base64, which hexadecimal digits are
    with log.open("wb") as output:
        command = _java(_BRIEF, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(config))
        code = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False).returncode
    if code != 0:
        raise TandemError(f"Kafka's folder cannot be formatted ({process.last_line(log)})", f"see {log}")


SERVICE = Service(
    name=NAME,
    start=start,
    is_ready=is_ready,
    address=lambda settings: settings.brokers,
    ports=("kafka_port", "kafka_controller_port"),
)
