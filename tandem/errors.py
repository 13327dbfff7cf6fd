"""Errors that a person can act on."""

from __future__ import annotations


class TandemError(Exception):
    """What went wrong in one line, and what to do next. The command line prints both and exits with 2."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem}: {remedy}" if remedy else problem)


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its name where it says nothing."""
    said = str(error).strip()
    return said.splitlines()[0] if said else type(error).__name__
