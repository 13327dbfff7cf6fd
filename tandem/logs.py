"""Logs: one event a line on stderr, readable or JSON, with secrets taken out."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.typing import Processor

from tandem.settings import settings

_SECRET_NAME = re.compile(r"password|secret|token|credential|authorization|api_?key", re.IGNORECASE)
_SECRET_IN_TEXT = re.compile(r"(://[^:/@\s]*:)[^@\s]+(?=@)|((?:password|secret|token)\s*[=:]\s*)\S+", re.IGNORECASE)
_HIDDEN = "***"


def hide_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put stars for the value of anything named like a secret, and for passwords in addresses and texts."""
    for key, value in event.items():
        if _SECRET_NAME.search(key):
            event[key] = _HIDDEN
        elif isinstance(value, str):
            event[key] = _SECRET_IN_TEXT.sub(lambda found: f"{found[1] or found[2]}{_HIDDEN}", value)
    return event


def configure_logging(level: int = logging.INFO) -> None:
    """Set up structlog and the standard library's loggers alike, in the format that ``log_format`` names."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        hide_secrets,
    ]
    as_json = settings().log_format == "json"
    render = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(level, logging.WARNING))  # libraries: only what is wrong
    for package in ("tandem", "stream", "spark_jobs", "reconciliation"):
        logging.getLogger(package).setLevel(level)
