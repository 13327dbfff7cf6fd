"""Under which settings the books are kept: all those that figures depend on. The first ``tandem up`` writes them down.

Two processes under different ones would keep two different books in one place, and no figure would show it. All other
settings may differ: what decides by ``TANDEM_IDLE_AFTER`` is written down (speed.idle_marks) and read from there; what
retentions of the archive, the journal and the history took is written down, and whoever needs it is refused; a date
that only one process's ``TANDEM_ARCHIVE_WHOLE_FROM`` lets compute is refused by the others; topics and tables at
other addresses are told by their ids; the rest says how much is done at once, how often, for how long, or by whom,
which changes no figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tandem.errors import TandemError
from tandem.settings import Settings

FOR_GOOD = ("business_timezone", "currency")
"""What is booked already cannot be said in another."""

UNTIL_CHANGED = (
    "allowed_lateness",
    "dedupe_horizon",
    "watermark_delay",
    "order_repeat_lookback_days",
    "high_value_cents",
    "moving_average_retention",
    "session_retention",
)
"""``tandem books --change`` writes others down."""


def said(settings: Settings, names: Sequence[str]) -> dict[str, str]:
    """What the settings say, by variable, as one writes it in the environment."""
    values = settings.model_dump(mode="json", include=set(names))
    return {f"TANDEM_{name.upper()}": str(values[name]) for name in names}


def require_same(kept: Mapping[str, str], settings: Settings) -> None:
    """Raises TandemError where the settings say something else than the books are kept under.

    ``kept``: by variable, as of ``said``; all of them.
    """
    if other := _other(kept, said(settings, FOR_GOOD)):
        problem = [" and ".join(each[at] for each in other) for at in (1, 2)]
        raise TandemError(
            f"the books are kept in {problem[0]}, and the settings say {problem[1]}", f"set {_assigned(other)}"
        )
    if other := _other(kept, said(settings, UNTIL_CHANGED)):
        settings_say = " and ".join(now for _, _, now in other)
        raise TandemError(
            f"the books are kept under {_assigned(other)}, and the settings say {settings_say}",
            "set it as in the books, or change the books: 'tandem books --change'",
        )


def _other(kept: Mapping[str, str], now: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Variable, what the books say, what the settings say: of those that differ."""
    return [(name, kept[name], value) for name, value in now.items() if kept[name] != value]


def _assigned(other: Sequence[tuple[str, str, str]]) -> str:
    return " and ".join(f"{name}={value}" for name, value, _ in other)
