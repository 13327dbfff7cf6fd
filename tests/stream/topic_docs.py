"""``docs/topics.md`` as the declarations make it; ``TANDEM_REGENERATE=1 pytest`` of its test writes it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from tandem.topics import TOPICS, Holds, Topic

PAGE = Path(__file__).parents[2] / "docs" / "topics.md"
_HEAD = """# Topics

<!-- Made from tandem/topics.py and tandem/messages.py by tests/stream/test_topics.py: edit those. -->

Every message is JSON in UTF-8; money is whole cents in `*_cents`, instants are RFC 3339 in UTC, intervals are
half-open, `[start, end)`. The Kafka key is the entity that a message is about. `TANDEM_TOPIC_PREFIX` comes before every
name.

`tandem up` makes what is missing. It brings the settings of the local broker's topics into line with what is declared,
and leaves what is kept longer: a `retention.ms` that somebody has raised stays. On brokers of `TANDEM_KAFKA_BOOTSTRAP`
it changes no topic that is there, and says in one line how they differ; those that it makes have the brokers' own
number of replicas.

- A topic of **events** is a set. A message may come twice, after a crash between sending and noting it; the header
  `message_id` is the same then, so a reader that drops ids it knows sees each once. None is missing.
- A topic of **state** is compacted: the last value of a key is what counts, and it is what the tables show. It is
  sent at the cadence where it has changed, never once per event, in transactions: read it `read_committed`.

A figure is null where it was [declared later](semantics.md#what-was-declared-later), and not kept of all that the
message is about.
"""
_KINDS = {Holds.INPUT: "input", Holds.EVENTS: "events", Holds.STATE: "state"}


def page() -> str:
    """The whole page."""
    rows = [
        f"| {_linked(topic)} | {_KINDS[topic.holds]} | `{topic.key}` | {topic.partitions}"
        f" | {_kept(topic)} | {topic.meaning} |"
        for topic in TOPICS
    ]
    head = ["| topic | holds | key | partitions | kept | what |", "| --- | --- | --- | --- | --- | --- |"]
    return "\n".join([_HEAD, *head, *rows, "", *(_section(topic) for topic in TOPICS if topic.message)])


def _linked(topic: Topic) -> str:
    """Its name, which leads to its section where it has one."""
    return f"[`{topic.name}`](#{topic.name})" if topic.message else f"`{topic.name}`"


def _kept(topic: Topic) -> str:
    compacted = "last value per key" if "compact" in topic.config.get("cleanup.policy", "") else ""
    if topic.config.get("cleanup.policy") == "compact":
        return compacted
    milliseconds = int(topic.config.get("retention.ms", -1))
    time = "for good" if milliseconds < 0 else _duration(timedelta(milliseconds=milliseconds))
    return f"{compacted}, {time}" if compacted else time


def _duration(span: timedelta) -> str:
    hours = span // timedelta(hours=1)
    return f"{hours // 24} days" if hours >= 48 else f"{hours} h"


def _section(topic: Topic) -> str:
    schema = msgspec.json.schema(topic.message)
    definitions = schema["$defs"]
    of = definitions[topic.message.__name__]
    required = set(of.get("required", ()))
    fields = [
        f"| `{name}` | {_type(field, definitions)}{'' if name in required else ', may be absent'}"
        f" | {field.get('description', '')} |"
        for name, field in of["properties"].items()
    ]
    return "\n".join(
        [
            f"## {topic.name}",
            "",
            f"{of['description']} Comes {topic.cadence}.",
            "",
            "| field | type | is |",
            "| --- | --- | --- |",
            *fields,
            "",
        ]
    )


def _type(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in field:
        field = definitions[field["$ref"].rpartition("/")[2]]
    if "anyOf" in field:
        return " or ".join(_type(each, definitions) for each in field["anyOf"])
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if field["type"] == "array":
        return f"list of {_type(field['items'], definitions)}"
    return {"object": "object", "string": field.get("format", "text")}.get(field["type"], str(field["type"]))
