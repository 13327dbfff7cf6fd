"""The ``tandem`` command: a table of sub-commands, each loaded only when it is called.

To add one, write in the package that does the work a function (a Typer command: its docstring is the help, its
parameters are the options) or a ``typer.Typer`` app of several, and add a line to ``COMMANDS``: name, where it stands,
one line of help. Nothing of that package is imported before the command is called, so that ``tandem --help`` is quick
and ``tandem`` depends on no layer. Raise TandemError for what a person can act on: it becomes one line on stderr and
exit status 2. Progress goes to stderr; with ``--json``, stdout holds the JSON and nothing else.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer._click.exceptions import UsageError  # Typer names it nowhere else, and shows it in a box of five lines
from typer.core import TyperGroup
from typer.main import get_command

from tandem import __version__
from tandem.errors import TandemError, first_line

_LOCAL, _DATA, _BOOKS = "Local parts", "Data and layers", "Agreement"


@dataclass(frozen=True, slots=True)
class Lazy:
    """Where a sub-command stands: ``module:attribute``, and the line of help that the overview shows."""

    target: str
    help: str
    panel: str

    def load(self, name: str) -> Any:
        """The command itself, its package imported now."""
        module, attribute = self.target.split(":")
        found = getattr(import_module(module), attribute)
        if isinstance(found, typer.Typer):
            return get_command(found)
        single = typer.Typer(add_completion=False, rich_markup_mode="markdown")
        single.command(name)(found)
        return get_command(single)


COMMANDS = {
    "demo": Lazy("tandem.demo.cli:demo", "Replay three days of real orders through everything, and check it", _LOCAL),
    "up": Lazy("tandem.local.cli:up", "Start the local parts: Postgres, Kafka, mail, workers, Airflow", _LOCAL),
    "down": Lazy("tandem.local.cli:down", "Stop the local parts", _LOCAL),
    "status": Lazy("tandem.local.cli:status", "Show which local parts run, and where", _LOCAL),
    "airflow": Lazy("tandem.local.cli:airflow", "Run Airflow's own command against the local Airflow", _LOCAL),
    "books": Lazy("tandem.books_cli:books", "Show under which settings the books are kept, or change them", _LOCAL),
    "replay": Lazy("tandem.sources.cli:replay", "Send real orders, or your own CSV or Parquet, to Kafka", _DATA),
    "stream": Lazy("stream.cli:app", "Run a worker of the speed layer, or rebuild its state", _DATA),
    "archive": Lazy("stream.archive_cli:app", "Run the archiver, which keeps every event as it came; tend it", _DATA),
    "batch": Lazy("spark_jobs.cli:batch", "Run the Spark jobs of a date or a range, and publish", _DATA),
    "restate": Lazy("spark_jobs.restate_cli:restate", "Do every date that is due, and again what has changed", _DATA),
    "gates": Lazy("spark_jobs.gate_cli:gates", "Show what the checks of a date's run found", _DATA),
    "history": Lazy("spark_jobs.history_cli:history", "Show what was said of a date, and why it changed", _DATA),
    "claims": Lazy("tandem.claims_cli:claims_command", "List which dates are being worked on, and by whom", _DATA),
    "quarantine": Lazy("stream.review_cli:quarantine", "Review what the checks rejected: approve or reject", _DATA),
    "kpi": Lazy("reconciliation.cli:kpi", "Print a day's figures as one layer has them", _DATA),
    "cut": Lazy("reconciliation.cli:cut", "Fix the offsets at which both layers are compared", _BOOKS),
    "reconcile": Lazy("reconciliation.cli:reconcile", "Compare the layers for a date, and correct", _BOOKS),
    "corrections": Lazy("reconciliation.corrections_cli:corrections", "List, approve and reverse corrections", _BOOKS),
    "explain": Lazy(
        "reconciliation.explain_cli:explain", "List what makes up a difference, or tell an order's story", _BOOKS
    ),
    "lateness": Lazy("reconciliation.lateness_cli:lateness", "Say what another allowed lateness would change", _BOOKS),
    "certificate": Lazy("reconciliation.certificate_cli:certificate", "Print the certificate of a date", _BOOKS),
    "verify": Lazy("reconciliation.certificate_cli:verify", "Work a certificate out again from the books", _BOOKS),
    "drill": Lazy(
        "reconciliation.drill.cli:drill", "Plant known faults in real orders, and check that each is found", _BOOKS
    ),
    "report": Lazy("reconciliation.cli:report", "Write the report that is mailed", _BOOKS),
    "digest": Lazy("reconciliation.digest_cli:digest", "Write the digest of a week", _BOOKS),
}


class LazyGroup(TyperGroup):
    """Loads the sub-command that was asked for, and turns errors with a remedy into one line."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command to run, in place of the entry that stands for it in the overview."""
        name, command, rest = super().resolve_command(ctx, args)
        return (name, COMMANDS[name].load(name), rest) if name in COMMANDS else (name, command, rest)

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Exits with 2 where it raises TandemError, a server stops it, or a setting is not valid."""
        try:
            return super().invoke(ctx)
        except TandemError as error:
            _complain(str(error))
        except UsageError as error:
            _complain_of_usage(error, ctx)
        except ValueError as error:
            if not (first := _invalid_setting(error)):
                raise
            named = "".join(f"TANDEM_{str(name).upper()}: " for name in first["loc"][:1])  # none: it is about several
            _complain(f"{named}{_said_of(first)}: correct it or leave it unset")
        except Exception as error:
            if not (server := _stopped_by(error)):
                raise
            _complain(f"{server} stopped it ({first_line(error)}): see 'tandem status' and its log, and do it again")
        raise typer.Exit(2)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options before the sub-command. Exits with 2 where there is no such option."""
        try:
            return super().parse_args(ctx, args)
        except UsageError as error:
            _complain_of_usage(error, ctx)
        raise typer.Exit(2)


def _complain_of_usage(error: UsageError, ctx: Any) -> None:
    said = _plain(error.format_message()).rstrip(".")
    if said:  # a group without a command has no message: it has shown its help
        _complain(f"{said[:1].lower()}{said[1:]}: see '{(error.ctx or ctx).command_path} --help'")


def _plain(message: str) -> str:
    """What pydantic says, without the words that it puts before a validator's own."""
    return message.replace("Value error, ", "")


def _said_of(invalid: Any) -> str:
    """What is wrong with a setting, and how it is written."""
    if invalid["type"] == "time_delta_parsing":
        return f"'{invalid['input']}' is no duration: write seconds (3600) or ISO 8601 (PT1H)"
    return _plain(invalid["msg"])


def _invalid_setting(error: ValueError) -> Any:
    """What pydantic says about the first setting that is not valid; None when the error is another one."""
    from pydantic import ValidationError

    return error.errors()[0] if isinstance(error, ValidationError) and error.title == "Settings" else None


def _stopped_by(error: Exception) -> str:
    """The server that ended a command midway, as where its disk is full; '' where it was none."""
    servers = {"psycopg": ("Postgres", "OperationalError"), "confluent_kafka": ("Kafka", "KafkaException")}
    # A client that was not loaded has not raised it, and takes long to load.
    loaded = (
        (name, getattr(sys.modules[module], kind)) for module, (name, kind) in servers.items() if module in sys.modules
    )
    return next((name for name, kind in loaded if isinstance(error, kind)), "")


def _complain(line: str) -> None:
    typer.echo(f"tandem: {line}", err=True)


app = typer.Typer(
    add_completion=False,
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: `tandem up`, then `tandem replay completejourney --from 2017-12-21 --to 2017-12-23`, "
    "then `tandem kpi --date 2017-12-23 --layer speed`. Each command has `--help`.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tandem {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
) -> None:
    """Two engines keep the same books: orders are counted as they come and again every night, and must agree."""


def _stands_for_a_command() -> None:
    """Never called: the group loads the command in its place."""


for _name, _lazy in COMMANDS.items():
    app.command(_name, help=_lazy.help, rich_help_panel=_lazy.panel)(_stands_for_a_command)


if __name__ == "__main__":
    app(prog_name="tandem")
