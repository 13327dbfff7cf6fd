"""Make .venv from nothing but Python: ``python3 bootstrap.py``, or ``make install``, which calls it.

Standard library only, and no syntax newer than Python 3.7 here, so that an old Python gets a message and no traceback.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "tandem-installed"
UV_LOCK = ROOT / "requirements.bootstrap.lock"
LOCK = ROOT / "requirements.lock"
SPACE_BYTES = 4 * 1024**3
"""The environment takes 2.4 GB, its download cache nearly as much again, the JVM parts 0.2 GB."""
OWN = ("tandem", "stream", "spark_jobs", "reconciliation", "dags", "sql", "benchmarks", "tests")


def fail(problem, remedy):
    """Say in one line what is wrong and what to do, and end."""
    sys.exit(f"tandem: {problem}: {remedy}")


def fingerprint():
    """What the installation depends on: the locks, the project's metadata, this file and Python's version."""
    digest = hashlib.sha256("{}.{}".format(*sys.version_info[:2]).encode())
    for path in (UV_LOCK, LOCK, ROOT / "pyproject.toml", Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_installed():
    """Whether .venv is what the locks say, going by the stamp that a whole installation leaves."""
    return STAMP.is_file() and STAMP.read_text(encoding="ascii") == fingerprint() and python().exists()


def python():
    """The environment's Python."""
    return VENV / "bin" / "python"


def check_python():
    """Refuse a Python that the dependencies do not run on."""
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        fail(
            "Python {}.{} does not do".format(*sys.version_info[:2]),
            "install Python 3.11, 3.12 or 3.13, or name it: make demo PYTHON=/path/to/python3.12",
        )


def check_java():
    """Refuse to start a long installation that could not run afterwards."""
    sys.path.insert(0, str(ROOT))
    from tandem.errors import TandemError  # only after the Python version is known to do
    from tandem.local.java import find_java

    try:
        find_java()
    except TandemError as error:
        fail(error.problem, error.remedy)


def check_space():
    """Refuse to fill the disk."""
    free = shutil.disk_usage(ROOT).free
    if free < SPACE_BYTES:
        fail(
            f"{free / 1024**3:.1f} GB free on the disk of {ROOT}",
            f"the installation needs {SPACE_BYTES // 1024**3} GB, so make room first",
        )


def run(what, *command):
    """Run one step of the installation, saying which; uv's list of every single package is left out."""
    print(f"tandem: {what}", flush=True)
    environment = {**os.environ, "VIRTUAL_ENV": str(VENV), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    arguments = [str(part) for part in command]
    with subprocess.Popen(arguments, cwd=str(ROOT), env=environment, stderr=subprocess.PIPE) as step:
        for line in step.stderr:
            if line[:3] not in (b" + ", b" - ", b" ~ "):
                sys.stderr.buffer.write(line)
                sys.stderr.flush()
    if step.returncode:
        fail(f"{what} failed", "see the lines above; is the network there? Then run it again")


def make_venv():
    """Create .venv where there is none, or one of another Python version."""
    probe = [
        str(python()),
        "-c",
        f"import sys; sys.exit(sys.version_info[:2] != {tuple(sys.version_info[:2])})",
    ]
    if python().exists() and subprocess.run(probe, check=False, stderr=subprocess.DEVNULL).returncode == 0:
        return
    try:
        import ensurepip  # noqa: F401 - Debian splits it off, and venv then fails half-way
    except ImportError:
        fail("this Python cannot make virtual environments", "install its venv package (Debian: python3-venv)")
    run("making .venv with Python {}.{}".format(*sys.version_info[:2]), sys.executable, "-m", "venv", "--clear", VENV)


def install():
    """Install what the locks say, then the project itself, and leave the stamp."""
    if STAMP.exists():
        STAMP.unlink()
    make_venv()
    uv = (python(), "-m", "uv", "pip")
    run("installing uv", python(), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", UV_LOCK)
    run("installing the locked packages (1.6 GB, about a minute)", *uv, "sync", "--require-hashes", LOCK)
    run("installing tandem itself", *uv, "install", "--quiet", "--no-deps", "--no-build-isolation", "-e", ".")
    print("tandem: compiling them, half a minute", flush=True)
    compile_modules(VENV)
    STAMP.write_text(fingerprint(), encoding="ascii")


def compile_modules(*folders):
    """Write the bytecode of every module that has none or an older one, whatever PYTHONDONTWRITEBYTECODE says.

    With that set, as it often is in containers, each start of a process would compile all it imports: Airflow's
    takes 2.5 seconds of CPU with bytecode and 7 without. Some packages ship files that no Python compiles.
    """
    tests = r"site-packages[/\\].*[/\\]tests?[/\\]"
    command = [python(), "-m", "compileall", "-q", "-q", "-j", "0", "-x", tests, *folders]
    subprocess.run([str(part) for part in command], cwd=str(ROOT), check=False)


def main():
    """Check, then install unless it is done."""
    check_python()
    check_java()
    if not is_installed():
        check_space()
        install()
    compile_modules(*OWN)


if __name__ == "__main__":
    main()
