"""The drill of the layers themselves: each fault on a date of its own, found as what it is, never corrected wrongly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from zoneinfo import ZoneInfo

from reconciliation.drill import found, log, sabotage
from reconciliation.drill.expect import COUNTED, DECODER, Expected, Fate, Logged, Place, expect
from reconciliation.drill.judge_layers import GATE, JOURNAL, Corrections, LayerOutcome, Planted, judge
from reconciliation.drill.platform import Platform
from tandem import clock
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.sources.completejourney import completejourney
from tandem.sources.payloads import OutgoingEvent
from tandem.sources.planning import ReplayPlan, plan_replay

ZONE = "Asia/Tokyo"
"""Nine hours ahead of UTC: the evening is the next date there. Where the business keeps it, London is nine behind."""
_DAY = timedelta(days=1)
DAYS = 14
"""So many dates hold all faults with quiet dates between them."""
_SKIPPED, _DROPPED, _ZONE_STREAM, _ARCHIVE, _SUMS, _JOURNAL, _ZONE_BATCH = 1, 3, 5, 7, 9, 11, 13
_STAGES = ((0,), (1,), (2, 3, 4), (5,), (6, 7, 8, 9, 10), (11,), (12, 13))
"""Days that are sent and counted together. One that is spoilt while it is counted has a stage of its own."""


@dataclass(frozen=True, slots=True)
class Scene:
    """The log of the range by business date, and what was chosen to be spoilt on which date."""

    dates: tuple[date, ...]
    of_day: Mapping[date, tuple[Logged, ...]]
    partition: int
    product: str
    other_zone: ZoneInfo

    def in_partition(self, day: int) -> tuple[Logged, ...]:
        """The records of the spoilt partition on a day."""
        return tuple(logged for logged in self.of_day[self.dates[day]] if logged.place[0] == self.partition)


def other_zone(settings: Settings) -> ZoneInfo:
    """A zone in which the business's evening is another date."""
    return ZoneInfo(ZONE if settings.business_timezone != ZONE else "Europe/London")


def conduct(first: date, seed: int, platform: Platform) -> LayerOutcome:
    """Spoil both layers, one fault after the other, reconcile every date and hold it against what must be found."""
    own, say = platform.settings, platform.progress.say
    dates = tuple(clock.days(first, first + (DAYS - 1) * _DAY))
    planned = plan_replay(completejourney(dates[0], dates[-1], own), own)
    random = Random(seed)  # noqa: S311 - reproducible choices, nothing secret
    partition = random.choice(_busy_partitions(planned, dates, own))
    zone = other_zone(own)
    send_in_stages(platform, planned, dates, partition, zone)
    laid = list(log.lay_out(planned, log.read(own, platform.end_offsets())))
    scene = Scene(dates, _by_day(laid, own.zone), partition, _product(laid, dates[_DROPPED], own.zone, random), zone)
    spoil_before_batch(own, scene)
    say("the layers are spoilt; computing what the batch layer makes of it")
    platform.compute(dates[0], dates[-2])
    with sabotage.in_zone(own, zone) as changes:
        platform.compute(dates[-1], dates[-1], changes=changes)
    spoil_sums(own, scene)
    platform.progress.run("up", "speed")
    compared = with_orders(scene)
    platform.reconcile(compared)
    planted, expected = what_must_be_found(scene, own.zone)
    return judge(planted, expected, found.read(own, ()), found.failed_gates(own), compared)


def with_orders(scene: Scene) -> tuple[date, ...]:
    """The dates on which anything was sold: of the others there is nothing to compare, and that is no alarm."""
    return tuple(day for day in scene.dates if scene.of_day.get(day))


def _busy_partitions(planned: ReplayPlan, dates: Sequence[date], own: Settings) -> list[int]:
    """Partitions with orders on every date that a partition is spoilt on."""
    partitions: dict[int, set[date]] = defaultdict(set)
    for event in planned:
        if event.key is not None and event.cents > 0:
            partitions[log.partition(event.key)].add(clock.business_date(event.event_time, own.zone))
    needed = {dates[day] for day in (_SKIPPED, _ARCHIVE, _SUMS, _JOURNAL)}
    if not (busy := sorted(p for p, days in partitions.items() if needed <= days)):
        raise TandemError("no partition has orders on every date of the range", "begin at another date with --from")
    return busy


def send_in_stages(
    platform: Platform, planned: ReplayPlan, dates: Sequence[date], partition: int, zone: ZoneInfo
) -> None:
    """Send the days and let the stream count them, with the faults that are made while it counts."""
    own = platform.settings
    events: dict[date, list[OutgoingEvent]] = defaultdict(list)
    for event in planned:
        events[clock.business_date(event.event_time, own.zone)].append(event)
    for stage in _STAGES:
        platform.send([event for day in stage for event in events[dates[day]]])
        if stage == (_SKIPPED,):
            sabotage.skip(own, partition, platform.end_offsets()[partition])
        with sabotage.in_zone(own, zone) if stage == (_ZONE_STREAM,) else nullcontext() as changes:
            platform.catch_up("stream", changes=changes)
    platform.catch_up("archive")


def spoil_before_batch(own: Settings, scene: Scene) -> None:
    """What is spoilt when both layers have read everything and Spark has not begun."""
    sabotage.drop_product(own, scene.dates[_DROPPED], scene.product)
    sabotage.lose_archived(own, scene.dates[_ARCHIVE], scene.partition)
    offsets = [logged.place[1] for logged in scene.in_partition(_JOURNAL)]
    sabotage.lose_segments(own, scene.partition, min(offsets), max(offsets) + 1)


def spoil_sums(own: Settings, scene: Scene) -> None:
    """What is spoilt in the sums that Spark has published."""
    day, lost = scene.dates[_SUMS], scene.in_partition(_SUMS)
    others = [logged for logged in scene.of_day[day] if logged not in set(lost)]
    sabotage.leave_out(own, day, _counted(lost), _counted(others), own.zone)


def _counted(logged: Sequence[Logged]) -> list[Logged]:
    return [each for each in logged if DECODER.decode(each.value).cents > 0]


def _by_day(laid: Sequence[Logged], zone: ZoneInfo) -> dict[date, tuple[Logged, ...]]:
    days: dict[date, list[Logged]] = defaultdict(list)
    for logged in laid:
        days[DECODER.decode(logged.value).event_time.astimezone(zone).date()].append(logged)
    return {day: tuple(records) for day, records in days.items()}


def _product(laid: Sequence[Logged], day: date, zone: ZoneInfo, random: Random) -> str:
    """A product of the date that costs something."""
    bought = [DECODER.decode(logged.value) for logged in _by_day(laid, zone)[day]]
    sold = {item.product_id for order in bought if order.cents > 0 for item in order.items if item.amount != "0.00"}
    return random.choice(sorted(filter(None, sold)))


def what_must_be_found(scene: Scene, zone: ZoneInfo) -> tuple[tuple[Planted, ...], Expected]:
    """Each fault with how it must be found, and the ledgers that follow."""
    fates = dict(_fates(scene))
    gone = scene.dates[_ZONE_BATCH]  # not published, so there is no ledger of it
    kept = [logged for day, records in scene.of_day.items() if day != gone for logged in records]
    expected = expect((_with_fate(logged, fates.get(logged.place)) for logged in kept), zone)
    return tuple(_planted(scene, fates)), expected


def _with_fate(logged: Logged, fate: Fate | None) -> Logged:
    return logged if fate is None else Logged(logged.place, logged.value, fate=fate)


def _fates(scene: Scene) -> Iterator[tuple[Place, Fate]]:
    missing = "missing"
    by_day = {
        _SKIPPED: Fate(missing, COUNTED, "missing_in_stream"),
        _ARCHIVE: Fate(COUNTED, missing, "missing_in_batch"),
        _SUMS: Fate(COUNTED, missing, "unexplained"),
    }
    for day, fate in by_day.items():
        yield from ((logged.place, fate) for logged in _counted(scene.in_partition(day)))
    for day, fate in (
        (_DROPPED, Fate(COUNTED, COUNTED, "aggregation", drops=scene.product)),
        (_ZONE_STREAM, Fate(COUNTED, COUNTED, "aggregation", speed_zone=scene.other_zone)),
    ):
        yield from ((logged.place, fate) for logged in _counted(scene.of_day[scene.dates[day]]))


def _planted(scene: Scene, fates: Mapping[Place, Fate]) -> Iterator[Planted]:
    def on(day: int, *more: int) -> tuple[date, ...]:
        return tuple(scene.dates[each] for each in (day, *more))

    def events(day: int) -> dict[Place, int]:
        """Batch - speed in cents of each event that must be named."""
        records = _counted(scene.in_partition(day))
        return {each.place: fates[each.place].sign * DECODER.decode(each.value).cents for each in records}

    sent, waits, none = Corrections.SENT, Corrections.WAIT, Corrections.NONE
    yield Planted("a worker skips records it has committed", "stream", on(_SKIPPED), "missing_in_stream", sent,
                  events(_SKIPPED))  # fmt: skip
    yield Planted("the fold drops a product", "stream", on(_DROPPED), "aggregation", none)
    touched = on(_ZONE_STREAM, *_neighbours(scene))
    yield Planted(f"the stream works in the zone {scene.other_zone.key}", "stream", touched, "aggregation", sent)
    yield Planted("a segment of the journal is lost", "stream", on(_JOURNAL), JOURNAL, none)
    yield Planted("Spark reads one partition less, which the archive lost", "batch", on(_ARCHIVE), "missing_in_batch",
                  waits, events(_ARCHIVE))  # fmt: skip
    yield Planted("Spark's sums leave out one partition", "batch", on(_SUMS), "unexplained", waits)
    yield Planted(f"Spark works in the zone {scene.other_zone.key}", "batch", on(_ZONE_BATCH), GATE, none)


def _neighbours(scene: Scene) -> Iterator[int]:
    """The days that the stream put some of the records on that it counted in another zone."""
    for logged in _counted(scene.of_day[scene.dates[_ZONE_STREAM]]):
        day = DECODER.decode(logged.value).event_time.astimezone(scene.other_zone).date()
        if day != scene.dates[_ZONE_STREAM]:
            yield scene.dates.index(day)
            return
