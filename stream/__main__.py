"""``python -m stream`` is ``tandem stream``."""

import sys

from tandem.cli import app

if __name__ == "__main__":
    app(["stream", *sys.argv[1:]], prog_name="python -m")
