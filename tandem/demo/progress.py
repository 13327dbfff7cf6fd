"""What the demo and the drill say while they work: a line per step, with the time since the start."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import typer

from tandem.errors import TandemError


@dataclass(frozen=True, slots=True)
class Progress:
    """Prints line by line, so that a pipe shows it at once; colours to a terminal only.

    ``environment``: what commands get beside that of this process. ``stderr``: standard output is left to a result.
    """

    began: float = field(default_factory=time.monotonic)
    environment: Mapping[str, str] = field(default_factory=dict)
    stderr: bool = False

    def say(self, line: str) -> None:
        """One line."""
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        typer.echo(f"[{minutes}:{seconds:02d}] {line}", err=self.stderr)

    def run(self, *arguments: str, expected: tuple[int, ...] = (0,), changes: Mapping[str, str] | None = None) -> int:
        """Run a ``tandem`` command as a user would, its output shown. Raises TandemError where it fails.

        ``changes``: what it gets in its environment beside what all commands get.
        """
        return self.run_together(arguments, expected=expected, changes=changes)

    def run_together(
        self, *commands: tuple[str, ...], expected: tuple[int, ...] = (0,), changes: Mapping[str, str] | None = None
    ) -> int:
        """Run ``tandem`` commands side by side; returns the highest exit status."""
        env = {**os.environ, **self.environment, **(changes or {})}
        running = []
        for command in commands:
            self.say(typer.style(f"$ tandem {' '.join(command)}", bold=True))
            running.append(
                subprocess.Popen(
                    [sys.executable, "-m", "tandem", *command], env=env, stdout=sys.stderr if self.stderr else None
                )
            )
        try:
            codes = [process.wait() for process in running]
        finally:
            for process in running:
                process.terminate()
        for command, code in zip(commands, codes, strict=True):
            if code not in expected:
                raise TandemError(f"'tandem {' '.join(command[:2])} ...' ended with status {code}", "see above")
        return max(codes)

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
