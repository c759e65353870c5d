"""What operators watch: how many requests of which kind, how long they took, how many are open.

prometheus-client keeps the numbers of several workers in files when PROMETHEUS_MULTIPROC_DIR names a folder at the time
that it is imported: `manage.py runserver --workers` sees to that.
"""

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from project.turns import Batch

MEDIA_TYPE = CONTENT_TYPE_LATEST.partition("; charset")[0]  # Litestar adds it again

UNMATCHED = "unmatched"
"""The route of all requests that no route takes: their paths are the clients' invention."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_own = CollectorRegistry()
_seconds = Histogram(
    "http_request_duration_seconds",
    "From a request's headers to the end of its response; the count is that of the requests.",
    ("method", "route", "status"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=_own,
)
_in_progress = Gauge(
    "http_requests_in_progress", "Requests that are being answered.", registry=_own, multiprocess_mode="livesum"
)
_series: dict[tuple[str, str | None, int], Callable[[float], None]] = {}


_changes: Batch[int] = Batch(lambda changes: _in_progress.inc(sum(changes)))
"""Of how many requests are open: each costs as much to be told as all those of a turn."""


def began() -> None:
    _changes.add(1)


def ended(method: str, route: str | None, status: int, seconds: float) -> None:
    """`route` is the template of the path, None where there is none."""
    _changes.add(-1)
    kind = (method, route, status // 100)
    observe = _series.get(kind)
    if observe is None:
        known = method if method in METHODS else "other"
        observe = _series[kind] = _seconds.labels(known, route or UNMATCHED, f"{status // 100}xx").observe
    observe(seconds)


def flush() -> None:
    """Tell what this worker has not told yet, before the numbers are exposed. Only from the event loop."""
    _changes.flush()


def exposition() -> bytes:
    """The numbers of all workers, in Prometheus' text format. Reads files where there are several."""
    everything = CollectorRegistry()
    try:
        MultiProcessCollector(everything)  # type: ignore[no-untyped-call]
    except ValueError:  # there is no folder, so this process is the only one
        everything = _own
    return generate_latest(everything)
