"""``python -m tandem`` is the ``tandem`` command."""

from tandem.cli import app

app(prog_name="tandem")
