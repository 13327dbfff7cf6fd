"""Every operator of the speed layer, in the order in which their rows are written."""

from __future__ import annotations

from stream.operators import Operator
from stream.panes import Panes

OPERATORS: tuple[Operator, ...] = (Panes(),)
