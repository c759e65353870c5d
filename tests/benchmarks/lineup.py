"""Who takes part: how each is started, filled, and asked."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import URL, Connection, NullPool, column, create_engine, func, insert, select, table, text

from .data import Student, as_csv
from .load import Ids, Paths
from .processes import Cores, Failure, Process, free_port, run

BATCH = 1000
SYNCHRONOUS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg2", "mariadb": "mysql+pymysql"}


@dataclass(frozen=True, kw_only=True)
class Contender:
    """`{port}` and `{folder}` stand for themselves in commands; `drivers` tells each engine's URL scheme."""

    name: str
    logs: str
    """What is written of each request, as its documentation sets up a production server."""
    drivers: dict[str, str]
    command: list[str]
    prepare: list[list[str]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    paths: Paths = field(default_factory=Paths)
    items: str | None = "items"  # the member of a page that holds its rows; None: the page is a bare array
    file: str = "students.sqlite3"
    stamped: bool = True  # the loader gives created_at and updated_at: the table has no default of its own
    padded_ids: bool = False  # ids are text, and the loader gives them
    hush: tuple[list[str], dict[str, str]] | None = None
    """Further arguments and environment with which it writes nothing of a request; None where that takes more."""

    def hushed(self) -> "Contender":
        if self.hush is None:
            return self
        arguments, environment = self.hush
        return replace(
            self,
            logs="nothing",
            command=[*self.command, *arguments],
            environment={**self.environment, **environment},
        )

    def fill(self, running: "Running", rows: list[Student]) -> None:
        moment = "2026-01-31 09:30:00.123456"
        stamps = {"created_at": moment, "updated_at": moment} if self.stamped else {}
        values: list[dict[str, Any]] = [{**row._asdict(), **stamps} for row in rows]
        if self.padded_ids:
            values = [{"id": f"{number:015}", **value} for number, value in enumerate(values, 1)]
        students = table("students", *map(column, values[0]))
        with _connect(running.url) as connection:
            for start in range(0, len(values), BATCH):
                connection.execute(insert(students), values[start : start + BATCH])

    def ids(self, running: "Running") -> Ids:
        with _connect(running.url) as connection:
            students = table("students", column("id"))
            return [str(key) for key in connection.scalars(select(students.c.id).order_by(students.c.id))]

    def count(self, running: "Running") -> int:
        with _connect(running.url) as connection:
            return connection.scalar(select(func.count()).select_from(table("students"))) or 0


class Registrar(Contender):
    """Only its public doors: it says nowhere how it keeps its rows."""

    def fill(self, running: "Running", rows: list[Student]) -> None:
        answer = running.client.post(
            "/students/import", content=as_csv(rows), headers={"Content-Type": "text/csv"}, timeout=60
        )
        if answer.status_code != 200:
            raise Failure(f"import answered {answer.status_code}: {answer.text[:200]}")
        report = answer.json()
        if report["created"] != len(rows):
            raise Failure(f"the import created {report['created']} of {len(rows)}: {report['errors'][:1]}")

    def ids(self, running: "Running") -> Ids:
        return [str(item["id"]) for page in self._pages(running) for item in page]

    def count(self, running: "Running") -> int:
        answer = running.client.get("/students", params={"limit": 1, "count": "true"}, timeout=30)
        if answer.status_code != 200:
            raise Failure(f"a count answered {answer.status_code}: {answer.text[:200]}")
        total: int = answer.json()["total"]
        return total

    def _pages(self, running: "Running") -> Iterator[list[dict[str, Any]]]:
        query: dict[str, str] = {"limit": "100"}
        while True:
            answer = running.client.get("/students", params=query)
            if answer.status_code != 200:
                raise Failure(f"a page answered {answer.status_code}: {answer.text[:200]}")
            page = answer.json()
            yield page["items"]
            if "next_cursor" not in page:
                return
            query["cursor"] = page["next_cursor"]


class Running:
    """A contender on an engine, with a folder and a port of its own."""

    process: Process | None = None

    def __init__(self, contender: Contender, engine: str, folder: Path, server: URL | None, cores: Cores) -> None:
        self.contender = contender
        self.engine = engine
        self.folder = folder
        self.cores = cores
        self.port = free_port()
        self.url = server or URL.create("sqlite", database=str(folder / contender.file))
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30, trust_env=False)

    def start(self) -> None:
        self.folder.mkdir()
        if self.engine != "sqlite":
            self.url = _create_database(self.url, "bench_" + self.contender.name.replace("-", "_"))
        url = self.url.set(drivername=self.contender.drivers[self.engine])
        environment = {**self.contender.environment, "DATABASE_URL": url.render_as_string(hide_password=False)}
        log = self.folder / "log"
        for command in self.contender.prepare:
            run(self._filled(command), log=log, environment=environment)
        self.process = Process(
            self._filled(self.contender.command), core=self.cores.server, log=log, environment=environment
        )
        self.process.wait_until(self._answers)

    def stop(self) -> None:
        self.client.close()
        if self.process:
            self.process.stop()

    def memory(self) -> int:
        return self.process.memory() if self.process else 0

    def _answers(self) -> bool:
        try:
            return self.client.get(self.contender.paths.page).status_code == 200
        except httpx.TransportError:
            return False

    def _filled(self, command: list[str]) -> list[str]:
        return [part.format(port=self.port, folder=self.folder) for part in command]


def _create_database(server: URL, name: str) -> URL:
    utf8 = "ENCODING 'UTF8'" if server.get_backend_name() == "postgresql" else "CHARACTER SET utf8mb4"
    with _connect(server, isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name} {utf8}"))
    return server.set(database=name)


@contextmanager
def _connect(url: URL, **options: Any) -> Iterator[Connection]:
    with create_engine(url, poolclass=NullPool, **options).begin() as connection:
        yield connection


UVICORN_LOGS = "uvicorn's line of text"
UVICORN_HUSH: tuple[list[str], dict[str, str]] = (["--no-access-log"], {})


def _uvicorn(module: str) -> list[str]:
    app = f"tests.benchmarks.contenders.{module}:app"
    return [sys.executable, "-m", "uvicorn", app, "--host=127.0.0.1", "--port={port}"]


def _django(name: str, *, items: str) -> Contender:
    site = "tests.benchmarks.contenders.django_site"
    settings = f"--settings={site}.settings"
    return Contender(
        name=name,
        drivers={"sqlite": "sqlite"},
        prepare=[[sys.executable, "-m", "django", "migrate", "--run-syncdb", settings, "--pythonpath=."]],
        command=[
            sys.executable,
            "-m",
            "gunicorn",
            f"{site}.wsgi",
            "--bind=127.0.0.1:{port}",
            "--workers=1",
            "--no-control-socket",
        ],
        logs="nothing",
        paths=Paths(all=f"/{name}/students", one=f"/{name}/students/{{}}", page=f"/{name}/students?limit=20"),
        items=items,
    )


def _pocketbase() -> Contender:
    beside = shutil.which("pocketbase", path=str(Path(sys.executable).parent))
    binary = [beside or "pocketbase", "--dir={folder}", "--automigrate=false"]
    migrations = Path(__file__).parent / "contenders" / "pocketbase"
    records = "/api/collections/students/records"
    return Contender(
        name="pocketbase",
        drivers={"sqlite": "sqlite"},
        # Without a superuser it would open a browser to ask for one.
        prepare=[[*binary, "superuser", "upsert", "bench@example.com", "only-on-loopback"]],
        command=[*binary, "serve", "--http=127.0.0.1:{port}", f"--migrationsDir={migrations}"],
        environment={"GOMAXPROCS": "1"},
        logs="a row in a database of its own",
        paths=Paths(all=records, one=records + "/{}", page=records + "?perPage=20&skipTotal=1"),
        file="data.db",
        padded_ids=True,
    )


OURS = "registrar"
CONTENDERS: list[Contender] = [
    Registrar(
        name=OURS,
        drivers={"sqlite": "sqlite", "postgresql": "postgresql", "mariadb": "mysql"},
        prepare=[[sys.executable, "manage.py", "migrate"]],
        command=[sys.executable, "manage.py", "runserver", "127.0.0.1:{port}", "--workers", "1"],
        environment={"DEBUG": "true"},
        logs="a line of JSON",
        hush=([], {"LOG_LEVEL": "WARNING"}),
    ),
    Contender(
        name="tutorial",
        drivers=SYNCHRONOUS,
        command=_uvicorn("tutorial"),
        logs=UVICORN_LOGS,
        hush=UVICORN_HUSH,
        items=None,
        stamped=False,
    ),
    _django("django-rest", items="results"),
    _django("django-ninja", items="items"),
    Contender(
        name="litestar-alchemy",
        drivers={"sqlite": "sqlite+aiosqlite"},
        command=_uvicorn("litestar_alchemy"),
        logs=UVICORN_LOGS,
        hush=UVICORN_HUSH,
        paths=Paths(page="/students?pageSize=20"),
    ),
    _pocketbase(),
    Contender(
        name="raw",
        drivers={"sqlite": "sqlite", "postgresql": "postgresql", "mariadb": "mysql"},
        command=[*_uvicorn("raw"), "--no-access-log"],
        logs="nothing",
        stamped=False,
    ),
]
