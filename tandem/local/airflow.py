"""Airflow on the local Postgres: scheduler, DAG processor, triggerer and API server, each a process of its own.

Apart rather than ``airflow standalone``: so the two log servers, which bind every interface, need not run, and each
part has its log. Task logs are files of this machine, which the API server reads by itself.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
import urllib.request
from importlib import metadata
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote

from tandem import database
from tandem.errors import TandemError
from tandem.local import jars, process
from tandem.local.credentials import ensure_secret, write_private
from tandem.local.service import Service
from tandem.settings import PROJECT_ROOT, Settings, settings

NAME = "airflow"
USER = "admin"
SPARK_POOL = "spark"
"""One slot: several Spark applications at once on one machine take longer than one after the other."""
_PARTS = {
    "airflow-scheduler": ("scheduler", "--skip-serve-logs"),
    "airflow-dag-processor": ("dag-processor",),
    "airflow-triggerer": ("triggerer", "--skip-serve-logs"),
    "airflow-api": ("api-server",),
}


def airflow_command() -> tuple[str, ...]:
    """How to call Airflow's own command line; run it with ``airflow_env()``."""
    return (sys.executable, "-m", "airflow")


def airflow_env() -> dict[str, str]:
    """Environment of every Airflow process of this installation, and of the tasks it runs.

    ``TANDEM_AIRFLOW__SECTION__NAME`` sets any other Airflow setting; a plain ``AIRFLOW__SECTION__NAME`` may belong to
    another Airflow and loses. Raises TandemError where the installation was never brought up: there are no passwords.
    """
    own = settings()
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {
        **process.environment(own),
        **{f"AIRFLOW__{name}": value for name, value in _configuration(own).items()},
        **{
            name.removeprefix("TANDEM_"): value
            for name, value in os.environ.items()
            if name.startswith("TANDEM_AIRFLOW__")
        },
        **{f"AIRFLOW_CONN_{name}": json.dumps(value) for name, value in _connections(own).items()},
        "AIRFLOW_HOME": str(_home(own)),
        "GX_ANALYTICS_ENABLED": "false",
        "JAVA_HOME": str(jars.java_home()),
        "PATH": programs,
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(PROJECT_ROOT),
    }


def start(own: Settings) -> None:
    """Start what does not run of the four, and wait until each reports that it is well."""
    _ensure_secrets(own)
    environment = airflow_env()
    _prepare(own, environment)
    for part, arguments in _PARTS.items():
        if process.find(own, part) is None:
            argv = (*airflow_command(), *arguments)
            process.start(own, process.Program(name=part, argv=argv, env=environment, cwd=_home(own)))
    for part in _PARTS:
        process.wait_until_ready(own, part, lambda: is_ready(own))


def is_ready(own: Settings) -> bool:
    """Whether all four report that they are well."""
    try:
        with urllib.request.urlopen(f"{address(own)}/api/v2/monitor/health", timeout=5) as answer:  # noqa: S310 - http
            health = json.load(answer)
    except (URLError, OSError, ValueError):
        return False
    parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
    return all((health.get(part) or {}).get("status") == "healthy" for part in parts)


def address(own: Settings) -> str:
    """Where the user interface is; the user is ``admin``, the password in ``secrets/airflow_admin``."""
    return f"http://{own.host}:{own.airflow_port}"


def _home(own: Settings) -> Path:
    return own.state_dir.resolve() / "airflow"


def _configuration(own: Settings) -> dict[str, str]:
    """Airflow's settings, by section and name."""
    password = quote(own.secret(database.AIRFLOW), safe="")
    login = f"{database.AIRFLOW}:{password}@{own.host}:{own.postgres_port}/{database.AIRFLOW}"
    return {
        "API__BASE_URL": address(own),
        "API__HOST": own.host,
        "API__PORT": str(own.airflow_port),
        "API__SECRET_KEY": own.secret("airflow_api_key"),
        "API__WORKERS": "1",
        "API_AUTH__JWT_SECRET": own.secret("airflow_jwt"),
        "CORE__DAGS_FOLDER": str(PROJECT_ROOT / "dags"),
        "CORE__DEFAULT_TIMEZONE": own.business_timezone,
        "CORE__EXECUTION_API_SERVER_URL": f"{address(own)}/execution/",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__FERNET_KEY": own.secret("airflow_fernet"),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__PARALLELISM": "4",
        "CORE__PLUGINS_FOLDER": str(PROJECT_ROOT / "dags" / "plugins"),
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(_password_file(own)),
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        # A file that was changed is read at once all the same; reading the others every 30 s takes 6 % of a core.
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
        "DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "30",
        "DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{login}",
        "LOGGING__BASE_LOG_FOLDER": str(_home(own) / "logs"),
        "LOGGING__COLORED_CONSOLE_LOG": "False",
        "USAGE_DATA_COLLECTION__ENABLED": "False",
    }


def _connections(own: Settings) -> dict[str, dict[str, object]]:
    smtp = {"disable_tls": True, "disable_ssl": True, "from_email": own.mail_from}
    return {
        "SPARK_DEFAULT": {"conn_type": "spark", "host": own.spark_master},
        "SMTP_DEFAULT": {"conn_type": "smtp", "host": own.smtp_host, "port": own.smtp_port, "extra": smtp},
    }


def _password_file(own: Settings) -> Path:
    return own.state_dir.resolve() / "secrets" / "airflow_passwords.json"


def _ensure_secrets(own: Settings) -> None:
    for name in ("airflow_api_key", "airflow_jwt", "airflow_admin"):
        ensure_secret(own, name)
    ensure_secret(own, "airflow_fernet", base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    write_private(_password_file(own), json.dumps({USER: own.secret("airflow_admin")}))


def _prepare(own: Settings, environment: dict[str, str]) -> None:
    """Bring Airflow's database to its version and make the pool; once, since each call takes seconds."""
    version = metadata.version("apache-airflow")  # to import Airflow for it takes seconds
    _home(own).mkdir(parents=True, exist_ok=True)
    done = _home(own) / "prepared"
    if done.exists() and done.read_text(encoding="ascii") == version:
        return
    _run(own, environment, "db", "migrate")
    _run(own, environment, "pools", "set", SPARK_POOL, "1", "Spark applications, one at a time")
    done.write_text(version, encoding="ascii")


def _run(own: Settings, environment: dict[str, str], *arguments: str) -> None:
    log = process.log_path(own, "airflow-setup")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        command = (*airflow_command(), *arguments)
        everything = {**os.environ, **environment}
        code = subprocess.run(
            command, env=everything, stdout=output, stderr=output, cwd=_home(own), check=False
        ).returncode
    if code != 0:
        raise TandemError(f"airflow {' '.join(arguments[:2])} failed ({process.last_line(log)})", f"see {log}")


SERVICE = Service(
    name=NAME,
    start=start,
    is_ready=is_ready,
    address=address,
    ports=("airflow_port",),
    needs=("postgres",),
    processes=tuple(_PARTS),
)
