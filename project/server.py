"""Serving: the sockets, uvicorn's options, and the processes that stand behind one address."""

import os
import signal
import socket
import sys

import structlog
import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import ChangeReload
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from project import folders, lifetime
from project.hosts import is_loopback
from project.settings import BASE_DIR, Settings

log = structlog.get_logger(__name__)

BACKLOG = 2048
KEEP_ALIVE = 65
"""Seconds that an idle connection stays open: longer than load balancers keep it, so that they close it, and know."""

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus-client looks for the folder in which workers keep their numbers; read when it is imported."""


class ServerError(Exception):
    """The service cannot start; the message says why and what to do."""


def bind(host: str, port: int, settings: Settings) -> socket.socket:
    """A socket that listens on the host; with DEBUG that must be this machine's own address for itself.

    Port 0 takes a free one. Raises ServerError.
    """
    family, address = _resolve(host, settings.debug)
    listener = socket.socket(family)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        reason = (error.strerror or str(error)).lower()
        raise ServerError(
            f"Port {port} of {host} cannot be used ({reason}): stop what uses it, or name another with --port."
        ) from error
    listener.set_inheritable(True)
    return listener


def _resolve(host: str, debug: bool) -> tuple[int, str]:
    """The family and the address; IPv4 for a name that has both."""
    try:
        found = sorted((family, str(place[0])) for family, _, _, _, place in socket.getaddrinfo(host, None))
    except (OSError, UnicodeError) as error:
        raise ServerError(f"{host} is no address of this machine: use 127.0.0.1, ::1 or localhost.") from error
    if debug and not all(is_loopback(address) for _, address in found):
        raise ServerError(
            f"{host} can be reached from other machines, and with DEBUG=true nobody is asked who they are: "
            "use 127.0.0.1, ::1 or localhost, or set DEBUG=false."
        )
    return found[0]


def url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"http://{host}:{port}"


def serve(settings: Settings, listener: socket.socket, *, workers: int = 1, reload: bool = False) -> None:
    """Serves until SIGTERM or SIGINT, and lets requests in flight finish. Raises ServerError if it cannot start."""
    config = uvicorn.Config(
        "project.asgi:app",
        http="project.protocol:Protocol",
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE,
        reset_contextvars=True,  # none inherits who asks from the one that let it begin
        timeout_graceful_shutdown=lifetime.GRACE,
        workers=workers,
        reload=reload,
        reload_dirs=[str(BASE_DIR / "project"), str(BASE_DIR / "apps")] if reload else None,
    )
    if reload:
        Reload(config, uvicorn.Server(config).run, [listener]).run()
    elif workers > 1:
        _serve_with_workers(config, [listener])
    else:
        _serve_alone(config, [listener])


def _serve_alone(config: uvicorn.Config, sockets: list[socket.socket]) -> None:
    # uvicorn raises the signal that stopped it once more when all is done: then it means the end, and no failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        uvicorn.Server(config).run(sockets)
    except KeyboardInterrupt:
        pass
    except SystemExit as error:
        if error.code == STARTUP_FAILURE:
            raise ServerError("The service could not start; the log says why.") from error
        raise


def _serve_with_workers(config: uvicorn.Config, sockets: list[socket.socket]) -> None:
    with folders.lasting("registrar-metrics-") as folder:
        os.environ[METRICS_FOLDER] = str(folder)
        workers = Workers(config, sockets)
        workers.run()
    if workers.failed:
        raise ServerError("A worker could not start; the log says why.")


class Reload(ChangeReload):  # type: ignore[valid-type,misc]
    def startup(self) -> None:
        with lifetime.without_interrupts():
            super().startup()

    def restart(self) -> None:
        with lifetime.without_interrupts():
            super().restart()


class Workers(Multiprocess):
    """uvicorn's workers: one that dies is replaced, and if none can start, that is the end.

    uvicorn's own way asks each worker for a sign of life, and waits for that of one that has just died.
    """

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self.failed = False
        self._have_served = False

    def init_processes(self) -> None:
        self.processes = [self._started() for _ in range(self.processes_num)]

    def keep_subprocess_alive(self) -> None:
        self._have_served = self._have_served or any(worker.is_ready(timeout=0.1) for worker in self.processes)
        for place, worker in enumerate(self.processes):
            if worker.process.is_alive() or self.should_exit.is_set() or self.signal_queue:
                continue
            worker.kill()  # lets go of its pipes
            mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
            if worker.exitcode == STARTUP_FAILURE or (worker.exitcode == 1 and not self._have_served):
                self.failed = True
                self.should_exit.set()
                return
            log.error("worker replaced", pid=worker.pid, exit_code=worker.exitcode)
            self.processes[place] = self._started()

    def handle_hup(self) -> None:
        self.handle_term()  # the terminal was closed: to serve on would hold the port with nobody there to give it back

    def _started(self) -> Process:
        worker = Process(self.config, self.sockets)
        with lifetime.without_interrupts():
            worker.start()
        return worker

    def terminate_all(self) -> None:
        # Whoever connects from here on is refused at once instead of waiting in a queue that nobody serves.
        for listener in self.sockets:
            listener.close()
        super().terminate_all()
