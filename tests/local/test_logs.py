"""Logs tell what happened and no secret."""

from __future__ import annotations

import json
import logging

import pytest
import structlog

from tandem.logs import configure_logging, hide_secrets
from tandem.settings import settings


@pytest.fixture
def json_logs(monkeypatch):
    root = logging.getLogger()
    before = root.handlers[:], root.level
    monkeypatch.setenv("TANDEM_LOG_FORMAT", "json")
    settings.cache_clear()
    yield
    structlog.reset_defaults()
    root.handlers, root.level = before[0], before[1]
    settings.cache_clear()


@pytest.mark.parametrize("name", ["password", "db_password", "smtp_token", "client_secret", "apikey", "Authorization"])
def test_a_value_named_like_a_secret_is_hidden(name: str):
    assert hide_secrets(None, "info", {name: "hunter2"}) == {name: "***"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://tandem:hunter2@127.0.0.1/tandem", "postgresql://tandem:***@127.0.0.1/tandem"),
        ("connect failed: password=hunter2 host=x", "connect failed: password=*** host=x"),
        ("order 12 of customer 7", "order 12 of customer 7"),
    ],
)
def test_a_password_inside_a_text_is_hidden_and_the_rest_stays(text: str, shown: str):
    assert hide_secrets(None, "info", {"event": text}) == {"event": shown}


def test_our_events_and_those_of_libraries_come_as_json_lines_without_secrets(json_logs, capsys):
    configure_logging()
    structlog.get_logger("tandem.test").info("committed", events=3, password="hunter2")
    logging.getLogger("library").error("no route to %s", "postgresql://a:hunter2@b/c")
    ours, theirs = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (ours["event"], ours["events"], ours["level"]) == ("committed", 3, "info")
    assert (theirs["event"], theirs["level"]) == ("no route to postgresql://a:***@b/c", "error")
    assert ours["password"] == "***"
