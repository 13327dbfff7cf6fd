"""Every operator of the speed layer, in the order in which their rows are written."""

from __future__ import annotations

from stream.alerts import Alerts
from stream.high_value import HighValue
from stream.hours import Hours
from stream.minutes import Minutes
from stream.operators import Operator
from stream.panes import Panes
from stream.quality import Quality
from stream.rollups import Rollups
from stream.sessions import Sessions
from stream.totals import Totals

OPERATORS: tuple[Operator, ...] = (
    Panes(),
    Hours(),
    Rollups(),
    Quality(),
    Totals(),
    HighValue(),
    Alerts(),
    Minutes(),
    Sessions(),
)
