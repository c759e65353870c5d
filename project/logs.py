"""One line a moment, on standard error: coloured for a person at a terminal, JSON for everything else.

What goes in are names, paths, numbers and tracebacks without their variables: never a body, a query or a password.
"""

import datetime as dt
import json
import logging
import sys
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any

import msgspec
import structlog

from project.settings import Settings

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


def configure(settings: Settings) -> None:
    """Sets up structlog and the standard library's logging; may be called again."""
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    level = logging.getLevelNamesMapping()[settings.log_level]
    structlog.configure(
        processors=[_describe, structlog.processors.format_exc_info, _as_json]
        if as_json
        else [
            _describe,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback, sort_keys=False
            ),
            _encode,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Lines,
        cache_logger_on_first_use=False,
    )
    # Below warnings, some libraries tell the statements that they run, values and all; the access log is ours.
    root = logging.getLogger()
    root.setLevel(max(level, logging.WARNING))
    if not any(isinstance(handler, _Forwarder) for handler in root.handlers):
        root.addHandler(_Forwarder())
    logging.getLogger("uvicorn").setLevel(logging.INFO if level < logging.INFO else max(level, logging.WARNING))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = name != "uvicorn.access"


class _Lines:
    """Where structlog hands over what is finished: each line is one write, and so whole beside other processes'."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def msg(self, line: bytes) -> None:
        try:
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()
        except (OSError, ValueError):
            """A log that cannot be written is no reason to fail a request."""

    debug = info = warning = warn = error = critical = fatal = exception = log = msg


class _Forwarder(logging.Handler):
    """Hands the records of libraries to structlog, so that all lines look alike."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:
            self.handleError(record)
            return
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        structlog.get_logger(record.name).log(level, message, exc_info=record.exc_info or None)


def _describe(logger: Any, method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    described = {
        "timestamp": dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": method,
        "event": event.pop("event"),
        "logger": logger.name,
    }
    if (identity := request_id.get()) is not None:
        described["request_id"] = identity
    return {**described, **event}


_encoder = msgspec.json.Encoder(enc_hook=str)


def _as_json(logger: Any, method: str, event: MutableMapping[str, Any]) -> bytes:
    try:
        return _encoder.encode(event) + b"\n"
    except UnicodeEncodeError:  # a lone surrogate, which JSON can only escape
        return json.dumps(event, default=str).encode() + b"\n"


def _encode(logger: Any, method: str, text: Any) -> bytes:
    return str(text).encode(errors="backslashreplace") + b"\n"
