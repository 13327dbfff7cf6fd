"""An order's story as text for people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from reconciliation import tables
from reconciliation.story import Day, Event, InStream, Story
from tandem import clock
from tandem.amounts import show, show_change
from tandem.events import Decision
from tandem.kpis import Unit


def lines(story: Story, currency: str, zone: ZoneInfo) -> Iterator[str]:
    """The story, event by event in the order of the log, then date by date."""
    for event in story.events:
        yield from _event(event, currency, zone)
        yield ""
    for day in story.days:
        yield from _day(day, zone)


def _event(event: Event, currency: str, zone: ZoneInfo) -> Iterator[str]:
    what = (event.event_type or "no type").replace("_", " ")
    yield f"{what}, {_at(event.event_time, zone)}: partition {event.partition}, offset {event.offset}, {event.event_id}"
    if event.stream_expired:
        yield "  stream  what it decided is no longer known: retention took its journal (TANDEM_JOURNAL_RETENTION)"
    elif event.stream is None:
        yield "  stream  does not have it, or not yet"
    else:
        stream = event.stream
        decided = _decided(stream.decision, stream.cents, stream.reasons, currency)
        yield f"  stream  {decided}{_behind(event, stream, zone)}"
        yield f"          at {_at(stream.processed_at, zone)}, rules {stream.rule_version}, epoch {stream.epoch}"
    if event.batch is None:
        yield "  batch   does not have it in a published version"
    else:
        batch = event.batch
        yield f"  batch   {_decided(batch.decision, batch.cents, batch.reasons, currency)}"
        yield f"          in version {batch.version}, run {batch.run_id}, rules {batch.rule_version}"
    if event.in_quarantine_since is not None:
        yield f"  waits in quarantine since {_at(event.in_quarantine_since, zone)}: tandem quarantine list"
    if event.difference is not None:
        found = event.difference
        change = show_change(found.batch_cents - found.speed_cents, Unit.CENTS, currency)
        yield f"  differs {found.cause.replace('_', ' ')}: {change}  (reconciliation {found.reconciliation_id})"
        yield f"          {found.evidence}"


def _decided(decision: str, cents: int | None, reasons: str, currency: str) -> str:
    amount = f" {show(cents, Unit.CENTS, currency)}" if decision == Decision.COUNTED else ""
    return f"{decision}{amount}{f': {reasons}' if reasons else ''}"


def _behind(event: Event, stream: InStream, zone: ZoneInfo) -> str:
    if event.event_time is None or stream.watermark is None or stream.watermark <= event.event_time:
        return ""
    minutes = (stream.watermark - event.event_time).total_seconds() / 60
    return f", {minutes:.0f} min behind the partition, which was at {_at(stream.watermark, zone)}"


def _day(day: Day, zone: ZoneInfo) -> Iterator[str]:
    compared = f"{day.verdict} (reconciliation {day.reconciliation_id})" if day.verdict else "not compared yet"
    yield f"{day.business_date}: {compared.replace('_', ' ')}"
    for version in day.versions:
        why = ", ".join(filter(None, (version.why.replace("_", " "), version.reason)))
        yield f"  version {version.version}, {_at(version.published_at, zone)}: {why}"
    if not day.versions:
        yield "  no version is published"
    if day.corrections:
        yield "  corrections of the cells that hold what differs:"
        yield from (
            "  " + line for line in tables.columns(tables.kept_correction_rows(day.corrections, zone)).splitlines()
        )


def _at(instant: datetime | None, zone: ZoneInfo) -> str:
    return "no time" if instant is None else clock.shown(instant, zone)
