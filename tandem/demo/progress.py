"""What the demo says while it works: a line per step, with the time since its start."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import typer

from tandem.errors import TandemError


@dataclass(frozen=True, slots=True)
class Progress:
    """Prints to standard output, line by line, so that a pipe shows it at once; colours to a terminal only."""

    began: float = field(default_factory=time.monotonic)

    def say(self, line: str) -> None:
        """One line."""
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        typer.echo(f"[{minutes}:{seconds:02d}] {line}")

    def run(self, *arguments: str, expected: tuple[int, ...] = (0,)) -> int:
        """Run a ``tandem`` command as a user would, its output shown. Raises TandemError where it fails."""
        self.say(typer.style(f"$ tandem {' '.join(arguments)}", bold=True))
        code = subprocess.run([sys.executable, "-m", "tandem", *arguments], check=False).returncode
        if code not in expected:
            raise TandemError(f"'tandem {' '.join(arguments[:2])} ...' ended with status {code}", "see above")
        return code

    def wait(self, what: str, left: Callable[[], int], timeout_s: float) -> None:
        """Wait until nothing is ``left``, saying how much is. Raises TandemError where it takes too long."""
        deadline = time.monotonic() + timeout_s
        said = -1
        while missing := left():
            if missing != said:
                self.say(f"{what}: {missing:,} to go")
                said = missing
            if time.monotonic() > deadline:
                raise TandemError(f"{what}: {missing:,} are still to go after {timeout_s:.0f} s", "see 'tandem status'")
            time.sleep(1)
        self.say(f"{what}: done")
