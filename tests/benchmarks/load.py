"""What is asked of a server, and the load generator that asks it."""

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec

from .data import Student
from .processes import Failure

LINES = 10_000


class Paths(msgspec.Struct, frozen=True):
    """Where a contender keeps its students; `one` has a `{}` for the id."""

    all: str = "/students"
    one: str = "/students/{}"
    page: str = "/students?limit=20"


class Sample(msgspec.Struct, frozen=True):
    """What wrk counted in one run; `p50` and `p99` are microseconds.

    `refused` are answers of 400 and up, `broken` those that never came.
    """

    answers: int
    microseconds: int
    refused: int
    broken: int
    p50: int
    p99: int

    @property
    def rate(self) -> float:
        return self.answers * 1_000_000 / self.microseconds

    @property
    def valid(self) -> bool:
        return self.answers > 0 and self.refused == 0 and self.broken == 0


NOBODY_LISTENS = Sample(answers=0, microseconds=1, refused=0, broken=1, p50=0, p99=0)
Ids = list[str]
Line = Callable[[Paths, Ids, list[Student], random.Random], str]


def _get(paths: Paths, ids: Ids, rows: list[Student], chance: random.Random) -> str:
    return f"GET {paths.one.format(chance.choice(ids))}"


def _page(paths: Paths, ids: Ids, rows: list[Student], chance: random.Random) -> str:
    return f"GET {paths.page}"


def _create(paths: Paths, ids: Ids, rows: list[Student], chance: random.Random) -> str:
    return f"POST {paths.all} {msgspec.json.encode(chance.choice(rows)._asdict()).decode()}"


def _patch(paths: Paths, ids: Ids, rows: list[Student], chance: random.Random) -> str:
    return f'PATCH {paths.one.format(chance.choice(ids))} {{"cgpa": {chance.randint(0, 1000) / 100}}}'


def _mix(paths: Paths, ids: Ids, rows: list[Student], chance: random.Random) -> str:
    return (_get if chance.random() < 0.8 else _patch)(paths, ids, rows, chance)


# Create comes last: until then everybody's table has the same number of rows, whoever is faster.
ROUTES: dict[str, Line] = {"get": _get, "page": _page, "patch": _patch, "mix": _mix, "create": _create}


def write_requests(file: Path, route: str, paths: Paths, ids: Ids, rows: list[Student]) -> None:
    chance = random.Random(11)
    line = ROUTES[route]
    file.write_text("".join(line(paths, ids, rows, chance) + "\n" for _ in range(LINES)))


def run_wrk(port: int, requests: Path, *, core: int | str, seconds: int, connections: int, seed: int) -> Sample:
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    script = ["-s", str(Path(__file__).with_name("wrk.lua")), f"http://127.0.0.1:{port}"]
    done = subprocess.run(
        [*command, *script, "--", str(requests), str(seed)],
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    )
    if done.returncode and "unable to connect" in done.stderr:
        return NOBODY_LISTENS
    if done.returncode:
        raise Failure(f"wrk failed: {done.stderr.strip() or done.stdout.strip()}")
    return msgspec.json.decode(done.stdout.strip().splitlines()[-1], type=Sample)
