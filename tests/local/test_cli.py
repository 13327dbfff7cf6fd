"""The command line: quick, one line for an error, statuses that scripts can rely on."""

from __future__ import annotations

import subprocess
import sys

import pytest
from installations import free_ports
from typer.testing import CliRunner

from tandem import __version__, database
from tandem.cli import COMMANDS, app
from tandem.errors import TandemError
from tandem.settings import PROJECT_ROOT, Settings, settings

runner = CliRunner()


@pytest.fixture
def failing(monkeypatch):
    import tandem.local.cli as local

    def fail() -> None:
        raise TandemError("the broker is gone", "run 'tandem up kafka'")

    monkeypatch.setattr(local, "status", fail)


@pytest.mark.integration
def test_a_server_that_stops_a_command_is_named_in_one_line(clean_database: Settings, monkeypatch):
    import tandem.local.cli as local

    def stopped() -> None:
        with database.connect(clean_database, database.OWNER) as connection:
            connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(local, "status", stopped)
    result = runner.invoke(app, ["status"])
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "tandem: Postgres stopped it (terminating connection due to administrator command): "
    )
    assert result.stderr.count("\n") == 1


def test_an_error_with_a_remedy_is_one_line_on_stderr_and_status_2(failing):
    result = runner.invoke(app, ["status"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "tandem: the broker is gone: run 'tandem up kafka'\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TANDEM_KAFKA_PORT", "many"),
        ("TANDEM_KAFKA_PORT", "65536"),
        ("TANDEM_BUSINESS_TIMEZONE", "Europe/Atlantis"),
        ("TANDEM_BUSINESS_TIMEZONE", "../etc"),
        ("TANDEM_ALLOWED_LATENESS", "1h"),
        ("TANDEM_ALLOWED_LATENESS", "-60"),
        ("TANDEM_ALLOWED_LATENESS", "90.5"),
        ("TANDEM_ALLOWED_LATENES", "60"),
        ("TANDEM_ORDER_REPEAT_LOOKBACK_DAYS", "-1"),
        ("TANDEM_WATERMARK_DELAY", "-PT1H"),
        ("TANDEM_IDLE_AFTER", "-PT1S"),
        ("TANDEM_HISTORY_RETENTION", "0"),
        ("TANDEM_ARCHIVE_BATCH_MAX_EVENTS", "0"),
        ("TANDEM_ARCHIVE_BATCH_MAX_BYTES", "0"),
        ("TANDEM_STATE_DIR", "/srv/year=2026/state"),
        ("TANDEM_ARCHIVE_URI", "/srv/[old]/archive"),
        ("TANDEM_ORDER_FACTS_URI", "/srv/100%25/facts"),
        ("TANDEM_ARCHIVE_URI", "file:///srv/year=2026/archive"),
        ("TANDEM_POSTGRES_DATABASE", ""),
        ("TANDEM_POSTGRES_DATABASE", "airflow"),
        ("TANDEM_POSTGRES_DATABASE", "ü" * 28),
    ],
)
def test_a_setting_that_is_not_valid_is_named_in_one_line(name: str, value: str):
    stderr = refused({name: value})
    assert stderr.startswith(f"tandem: {name}")
    assert stderr.count("\n") == 1


def test_settings_that_do_not_fit_together_are_named_in_one_line():
    stderr = refused({"TANDEM_ALLOWED_LATENESS": "P2D"})
    assert stderr == (
        "tandem: TANDEM_DEDUPE_HORIZON must be at least TANDEM_ALLOWED_LATENESS, or late copies count twice:"
        " correct it or leave it unset\n"
    )


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({"TANDEM_JOURNAL_RETENTION": "P30D"}, "0, for good, or at least 31 days"),
        ({"TANDEM_DEDUPE_HORIZON": "P400D"}, "a day more than TANDEM_DEDUPE_HORIZON"),
        ({"TANDEM_ORDER_REPEAT_LOOKBACK_DAYS": "400"}, "a day more than TANDEM_ORDER_REPEAT_LOOKBACK_DAYS"),
    ],
)
def test_the_journal_is_not_let_go_of_while_anything_looks_so_far_back(environment: dict[str, str], wanted: str):
    stderr = refused(environment)
    assert stderr == f"tandem: TANDEM_JOURNAL_RETENTION must be {wanted}: correct it or leave it unset\n"


@pytest.mark.parametrize("kept", ["PT0S", "P31D", "P10000D"])
def test_the_journal_may_be_kept_for_good_or_from_a_month_on(kept: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TANDEM_JOURNAL_RETENTION", kept)
    assert Settings().journal_retention.days in {0, 31, 10_000}


def refused(environment: dict[str, str]) -> str:
    """What a command says of these settings."""
    code = "from tandem.cli import app; app(['status'], prog_name='tandem')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "PATH": ""},
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    return done.stderr


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("airflow dags list", "Airflow's database does not run: run 'tandem up'"),
        ("kpi --date 2017-12-23", "cannot reach Postgres at 127.0.0.1:{} (Connection refused): run 'tandem up'"),
    ],
)
def test_what_does_not_run_is_said_in_one_line(asked: str, answer: str, tmp_path, monkeypatch):
    (port,) = free_ports(1)
    for name, value in {"STATE_DIR": tmp_path, "POSTGRES_PORT": port, "SECRET_TANDEM_READER": "x"}.items():
        monkeypatch.setenv(f"TANDEM_{name}", str(value))
    settings.cache_clear()
    result = runner.invoke(app, asked.split())
    settings.cache_clear()
    assert (result.exit_code, result.stderr) == (2, f"tandem: {answer.format(port)}\n")


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_state_folder_that_cannot_be_written_is_named_in_one_line(command: str, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TANDEM_STATE_DIR", str(tmp_path / "file" / "state"))
    settings.cache_clear()
    result = runner.invoke(app, [command])
    settings.cache_clear()
    assert result.exit_code == 2
    assert result.stderr.startswith(f"tandem: cannot write {tmp_path / 'file' / 'state'}: ")
    assert result.stderr.count("\n") == 1


def test_the_overview_loads_no_layer_and_no_engine():
    code = (
        "import sys\nfrom tandem.cli import app\n"
        "try: app(['--help'], prog_name='tandem')\n"
        "except SystemExit: pass\n"
        "print([name for name in ('stream', 'spark_jobs', 'reconciliation', 'tandem.local', 'confluent_kafka',"
        " 'psycopg', 'polars', 'duckdb', 'pyspark', 'airflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(name in done.stdout for name in COMMANDS)


def test_the_version_is_the_package_s():
    assert runner.invoke(app, ["--version"]).stdout == f"tandem {__version__}\n"


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("explode", "no such command 'explode': see 'tandem --help'"),
        ("--loud", "no such option: --loud: see 'tandem --help'"),
        ("status --loud", "no such option: --loud: see 'tandem status --help'"),
        ("kpi", "missing option '--date': see 'tandem kpi --help'"),
        (
            "kpi --date 2017-12-23 --layer cake",
            "invalid value for '--layer': 'cake' is not one of 'speed', 'batch', 'serving': see 'tandem kpi --help'",
        ),
        ("corrections explode", "no such command 'explode': see 'tandem corrections --help'"),
    ],
)
def test_a_command_line_that_is_wrong_is_told_so_in_one_line(asked: str, answer: str):
    result = runner.invoke(app, asked.split(), prog_name="tandem")
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"tandem: {answer}\n")


@pytest.mark.parametrize("asked", [[], ["corrections"]])
def test_a_group_without_a_command_shows_its_help_and_no_complaint(asked: list[str]):
    result = runner.invoke(app, asked, prog_name="tandem")
    assert result.exit_code == 2
    assert "Commands" in result.output or "Local parts" in result.output
    assert "tandem: " not in result.output


def test_an_unknown_part_is_named_with_those_there_are():
    result = runner.invoke(app, ["down", "postgre"])
    assert result.exit_code == 2
    assert "postgres, kafka, mail, speed, archiver, airflow" in result.stderr


@pytest.mark.parametrize("name", ["up", "down", "status"])
def test_every_command_shows_an_example(name: str):
    assert "Example:" in runner.invoke(app, [name, "--help"]).stdout
