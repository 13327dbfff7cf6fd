"""Which Java is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.errors import TandemError
from tandem.local.java import Java, choose, find_java, probe, read_properties

# As the programs print it, shortened in the middle.
TEMURIN_21 = """Property settings:
    file.encoding = UTF-8
    java.class.version = 65.0
    java.home = /opt/java/openjdk
    java.io.tmpdir = /tmp
    java.specification.name = Java Platform API Specification
    java.specification.version = 21
    java.vendor = Eclipse Adoptium

openjdk version "21.0.4" 2024-07-16 LTS
OpenJDK Runtime Environment Temurin-21.0.4+7 (build 21.0.4+7-LTS)
"""
JAVA_8 = """Property settings:
    java.home = /usr/lib/jvm/java-8-openjdk-amd64/jre
    java.specification.version = 1.8
openjdk version "1.8.0_412"
"""
MACOS_STUB = """The operation couldn't be completed. Unable to locate a Java Runtime.
Please visit http://www.java.com for information on installing Java.
"""


def a_java(major: int) -> Java:
    return Java(Path(f"/opt/jdk-{major}"), major)


def test_home_and_version_are_read_from_what_java_prints():
    assert read_properties(TEMURIN_21) == Java(Path("/opt/java/openjdk"), 21)


def test_java_8_which_calls_itself_1_8_is_8():
    assert read_properties(JAVA_8) == Java(Path("/usr/lib/jvm/java-8-openjdk-amd64/jre"), 8)


def test_a_stub_that_only_complains_is_no_java():
    assert read_properties(MACOS_STUB) is None


def test_a_java_that_is_not_there_is_none(tmp_path: Path):
    assert probe(tmp_path / "java") is None


@pytest.mark.parametrize("major", [17, 21])
def test_the_first_supported_java_is_taken_past_unsupported_ones(major: int):
    found = iter([None, a_java(25), a_java(11), a_java(major), a_java(17)])
    assert choose(found) == a_java(major)


@pytest.mark.parametrize("major", [8, 11, 25])
def test_an_unsupported_java_alone_is_named_with_what_to_do(major: int):
    with pytest.raises(TandemError, match=rf"only Java {major} found in /opt/jdk-{major}: install a JDK 17 or 21"):
        choose(iter([a_java(major)]))


def test_no_java_at_all_is_one_line_with_what_to_do():
    with pytest.raises(TandemError) as raised:
        choose(iter([]))
    assert str(raised.value) == "no Java found: install a JDK 17 or 21 and set JAVA_HOME to its folder"


def test_this_machine_has_a_java_that_runs():
    found = find_java()
    assert probe(found.command) == found
