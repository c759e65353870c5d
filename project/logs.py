"""One line a moment, on standard error: coloured for a person at a terminal, JSON for everything else.

What goes in are names, paths, numbers and tracebacks without their variables: never a body, a query or a password.
"""

import datetime as dt
import json
import logging
import sys
import time
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import msgspec
import structlog

from project.settings import Settings
from project.turns import Batch

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


def configure(settings: Settings) -> None:
    """Sets up structlog and the standard library's logging; may be called again."""
    as_json = _is_json(settings)
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


def _is_json(settings: Settings) -> bool:
    return settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())


class _Answered(msgspec.Struct):
    """A line of the access log, its fields in the order of all other lines."""

    timestamp: str
    level: str
    event: str
    logger: str
    request_id: str | None
    method: str
    path: str
    status: int
    milliseconds: float


class AccessLog:
    """A line for each answer.

    As JSON, the lines of all answers of one turn of the event loop are one write, without structlog's processors: they
    would cost a short read a fifth of its time.
    """

    def __init__(self, settings: Settings) -> None:
        self._is_on = logging.getLevelNamesMapping()[settings.log_level] <= logging.INFO
        self._is_json = _is_json(settings)
        self._log = structlog.get_logger("request").bind()
        self._lines: Batch[bytes] = Batch(lambda lines: _write(b"".join(lines)))

    def answered(self, method: str, path: str, status: int, seconds: float) -> None:
        if not self._is_on:
            return
        milliseconds = round(seconds * 1000, 2)
        if not self._is_json:
            self._log.info("answered", method=method, path=path, status=status, milliseconds=milliseconds)
            return
        line = _Answered(
            _timestamp(), "info", "answered", "request", request_id.get(), method, path, status, milliseconds
        )
        self._lines.add(_encoder.encode(line) + b"\n")


def _write(lines: bytes) -> None:
    """Whole lines: one write is not mixed with those of other processes."""
    try:
        sys.stderr.buffer.write(lines)
        sys.stderr.buffer.flush()
    except (OSError, ValueError):
        """A log that cannot be written is no reason to fail a request."""


class _Lines:
    """Where structlog hands over what is finished."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def msg(self, line: bytes) -> None:
        _write(line)

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
        "timestamp": _timestamp(),
        "level": method,
        "event": event.pop("event"),
        "logger": logger.name,
    }
    if (identity := request_id.get()) is not None:
        described["request_id"] = identity
    return {**described, **event}


def _timestamp() -> str:
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{_second(seconds)}.{nanoseconds // 1_000_000:03}Z"


@lru_cache(2)
def _second(timestamp: int) -> str:
    return f"{dt.datetime.fromtimestamp(timestamp, dt.UTC):%Y-%m-%dT%H:%M:%S}"


_encoder = msgspec.json.Encoder(enc_hook=str)


def _as_json(logger: Any, method: str, event: MutableMapping[str, Any]) -> bytes:
    try:
        return _encoder.encode(event) + b"\n"
    except UnicodeEncodeError:  # a lone surrogate, which JSON can only escape
        return json.dumps(event, default=str).encode() + b"\n"


def _encode(logger: Any, method: str, text: Any) -> bytes:
    return str(text).encode(errors="backslashreplace") + b"\n"
