"""Measurements of the platform, each a module that runs by itself."""

import os

# Polars reads it when loaded; a worker of the speed layer has it too.
os.environ.setdefault("POLARS_MAX_THREADS", "1")
