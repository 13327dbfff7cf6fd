"""Make ``spark-submit`` work without flags: ``python -m spark_jobs.submit_defaults`` writes PySpark's conf folder.

Jars that a script names after its JVM has started do not reach the driver's class loader, so they stand in
spark-defaults.conf, which spark-submit reads first. The archive of classes that makes it start quickly is made before.
Set-up calls this; running it again changes nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

from spark_jobs import jvm_classes
from spark_jobs.session import spark_conf
from tandem.errors import TandemError
from tandem.local.jars import java_home, pyspark
from tandem.settings import PROJECT_ROOT, Settings, settings

_MARK = "# Written by tandem (spark_jobs/submit_defaults.py)"

_LOGGING = f"""{_MARK}: errors only, because a job says itself how far it is.
rootLogger.level = error
rootLogger.appenderRef.stderr.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{{HH:mm:ss}} %p %c{{1}}: %m%n%ex
"""


def conf_folder() -> Path:
    """PySpark's own conf folder. Raises TandemError where PySpark is not installed."""
    return pyspark() / "conf"


def defaults(config: Settings) -> dict[str, str]:
    """File name → text of everything that belongs into the conf folder."""
    properties = "".join(f"{key} {value}\n" for key, value in spark_conf(config).items())
    environment = {
        "JAVA_HOME": str(java_home()),
        # A warning about the host's name, and a second address to listen on, otherwise.
        "SPARK_LOCAL_IP": config.host,
        # A job that is run by its path finds the project without being installed, too.
        "PYTHONPATH": f"{PROJECT_ROOT}${{PYTHONPATH:+:$PYTHONPATH}}",
    }
    exports = "".join(f'export {name}="{value}"\n' for name, value in environment.items())
    return {
        "spark-defaults.conf": f"{_MARK}\n{properties}",
        "spark-env.sh": f"{_MARK}\n{exports}",
        "log4j2.properties": _LOGGING,
    }


def write_defaults(config: Settings) -> None:
    """Write what differs. Raises TandemError rather than overwrite a file that somebody else wrote."""
    folder = conf_folder()
    folder.mkdir(exist_ok=True)
    for name, text in defaults(config).items():
        path = folder / name
        present = path.read_text(encoding="utf-8") if path.exists() else ""
        if present and not present.startswith(_MARK):
            raise TandemError(f"{path} is not Tandem's", f"move it away, or set SPARK_CONF_DIR for your own {name}")
        if present != text:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        jvm_classes.make(spark_conf(settings()), settings().host)
    except TandemError as error:
        print(f"tandem: {error}; jobs will take longer to start", file=sys.stderr)
    try:
        write_defaults(settings())
    except TandemError as error:
        sys.exit(f"tandem: {error}")
