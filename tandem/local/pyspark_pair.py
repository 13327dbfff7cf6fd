"""Check that pyspark and pyspark-client are one version: they share most of their files in one folder."""

from __future__ import annotations

import sys
from importlib.metadata import version

from tandem.errors import TandemError


def check(pyspark: str, client: str) -> None:
    """Raise TandemError unless both are the same version."""
    if pyspark != client:
        raise TandemError(
            f"pyspark {pyspark} and pyspark-client {client} overwrite each other's files",
            "pin both to one version in pyproject.toml and run 'make lock install'",
        )


if __name__ == "__main__":
    try:
        check(version("pyspark"), version("pyspark-client"))
    except TandemError as error:
        sys.exit(f"tandem: {error}")
