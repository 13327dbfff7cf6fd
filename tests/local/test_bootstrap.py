"""The set-up says in one line what is missing, before it installs anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

import bootstrap
from tandem.errors import TandemError
from tandem.local import pyspark_pair
from tandem.settings import PROJECT_ROOT


@pytest.mark.parametrize("version", [(3, 9), (3, 10), (3, 14), (4, 0)])
def test_a_python_that_the_dependencies_do_not_run_on_is_refused(version: tuple[int, int], monkeypatch):
    monkeypatch.setattr(bootstrap.sys, "version_info", (*version, 0))
    with pytest.raises(SystemExit, match=r"install Python 3\.11, 3\.12 or 3\.13") as raised:
        bootstrap.check_python()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
def test_a_supported_python_passes(version: tuple[int, int], monkeypatch):
    monkeypatch.setattr(bootstrap.sys, "version_info", (*version, 0))
    bootstrap.check_python()


def test_too_little_disk_is_refused_before_it_is_filled(monkeypatch):
    monkeypatch.setattr(bootstrap.shutil, "disk_usage", lambda _: SimpleNamespace(free=3 * 1024**3))
    with pytest.raises(SystemExit, match=r"3\.0 GB free on the disk of .*: the installation needs 4 GB"):
        bootstrap.check_space()


def test_the_set_up_needs_nothing_but_the_standard_library():
    code = "import bootstrap, tandem.local.java, tandem.errors, sys; print(sorted(sys.modules))"
    # -S: no site-packages
    subprocess.run([sys.executable, "-S", "-c", code], cwd=PROJECT_ROOT, check=True, capture_output=True)


def test_the_locks_name_versions_and_hashes_and_no_address():
    for name in ("requirements.lock", "requirements.bootstrap.lock"):
        text = (PROJECT_ROOT / name).read_text(encoding="utf-8")
        assert "://" not in text
        assert not re.search(r"^--", text, re.MULTILINE)
        packages = re.findall(r"^[a-z0-9][^\n]*?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", text, re.MULTILINE)
        assert len(packages) == len(re.findall(r"^[a-z0-9]\S*==", text, re.MULTILINE)) > 0


def test_modules_are_compiled_where_python_is_told_not_to_and_one_that_cannot_be_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(bootstrap, "python", lambda: sys.executable)
    (tmp_path / "good.py").write_text("figure = 1\n", encoding="ascii")
    (tmp_path / "template.py").write_text("class {{ name }}:\n", encoding="ascii")
    bootstrap.compile_modules(tmp_path)
    assert [path.name.split(".")[0] for path in (tmp_path / "__pycache__").iterdir()] == ["good"]


def test_an_unchanged_lock_is_not_installed_again(tmp_path, monkeypatch):
    stamp = tmp_path / "stamp"
    monkeypatch.setattr(bootstrap, "STAMP", stamp)
    assert not bootstrap.is_installed()
    stamp.write_text(bootstrap.fingerprint(), encoding="ascii")
    assert bootstrap.is_installed()
    monkeypatch.setattr(bootstrap, "LOCK", tmp_path / "lock")
    (tmp_path / "lock").write_text("changed", encoding="ascii")
    assert not bootstrap.is_installed()


def test_pyspark_and_its_client_of_two_versions_are_refused():
    with pytest.raises(TandemError, match=r"pyspark 4\.3\.0 and pyspark-client 4\.2\.0 overwrite each other"):
        pyspark_pair.check("4.3.0", "4.2.0")
    pyspark_pair.check("4.1.3", "4.1.3")


@pytest.mark.parametrize("target", ["demo", "test", "check", "down", "clean"])
def test_make_lists_each_target_with_one_line_of_help(target: str):
    listed = subprocess.run(["make"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(rf"^  make {target} +\w.+$", listed, re.MULTILINE)


def test_a_python_that_is_not_there_is_one_line_and_no_traceback():
    done = subprocess.run(
        ["make", "install", "PYTHON=no-such-python"],
        cwd=PROJECT_ROOT,
        env={**os.environ, "MAKEFLAGS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode != 0
    assert said == [
        "tandem: no Python 3.11, 3.12 or 3.13 found: install one, or name it: make demo PYTHON=/path/to/python3.12"
    ]
