"""Every operator of the speed layer, in the order in which their rows are written."""

from __future__ import annotations

from stream.hours import Hours
from stream.operators import Operator
from stream.panes import Panes
from stream.quality import Quality
from stream.rollups import Rollups

OPERATORS: tuple[Operator, ...] = (Panes(), Hours(), Rollups(), Quality())
