"""Find a Java that Kafka and Spark run on. Standard library only: it is used before anything is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tandem.errors import TandemError

SUPPORTED = (17, 21)
"""Spark 4.1 needs 17; on 25 it does not start, because ``jdk.incubator.vector`` is gone."""
REMEDY = "install a JDK 17 or 21 and set JAVA_HOME to its folder"

_FOLDERS = (
    "/usr/lib/jvm/*",
    "/opt/java/*",
    "/opt/jdk*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "/opt/homebrew/opt/openjdk@*",
    "/usr/local/opt/openjdk@*",
    "~/.sdkman/candidates/java/*",
    "~/.jdks/*",
)


@dataclass(frozen=True)
class Java:
    """One installed Java: its home folder and its major version."""

    home: Path
    major: int

    @property
    def command(self) -> Path:
        """The ``java`` to run."""
        return self.home / "bin" / "java"


def read_properties(text: str) -> Java | None:
    """The Java that printed ``java -XshowSettings:properties -version``; None when the text is something else."""
    home = re.search(r"^\s*java\.home = (.+)$", text, re.MULTILINE)
    version = re.search(r"^\s*java\.specification\.version = (?:1\.)?(\d+)", text, re.MULTILINE)
    if home is None or version is None:
        return None
    return Java(Path(home[1].strip()), int(version[1]))


def probe(command: str | Path) -> Java | None:
    """Ask one ``java`` what it is; None when it does not run (macOS has a stub that only complains)."""
    try:
        done = subprocess.run(
            [str(command), "-XshowSettings:properties", "-version"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return read_properties(done.stderr + done.stdout)


def candidates() -> Iterator[Path]:
    """Every ``java`` worth asking: JAVA_HOME, then PATH, then the usual folders."""
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if found := shutil.which("java"):
        yield Path(found)
    for pattern in _FOLDERS:
        folder = Path(pattern).expanduser()
        for home_folder in sorted(Path(folder.anchor).glob(str(folder.relative_to(folder.anchor)))):
            if (home_folder / "bin" / "java").is_file():
                yield home_folder / "bin" / "java"


def choose(found: Iterator[Java | None]) -> Java:
    """The first supported one. Raises TandemError naming what was found instead."""
    others: list[Java] = []
    for java in found:
        if java is None:
            continue
        if java.major in SUPPORTED:
            return java
        others.append(java)
    if others:
        raise TandemError(f"only Java {others[0].major} found in {others[0].home}", REMEDY)
    raise TandemError("no Java found", REMEDY)


@lru_cache(maxsize=1)
def find_java() -> Java:
    """The Java that the JVM parts run on, looked for once. Raises TandemError."""
    return choose(probe(command) for command in candidates())
