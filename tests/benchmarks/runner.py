"""All contenders of an engine serve at once, and take turns, round by round, at each route."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec

from .checks import check_answers
from .data import students
from .databases import START
from .lineup import Contender, Running
from .load import Ids, Sample, run_wrk, write_requests
from .processes import Cores, Failure

ROWS = 10_000
WARM_UP = 1


class Plan(msgspec.Struct, frozen=True):
    engines: list[str]
    contenders: list[str]
    routes: list[str]
    rounds: int
    seconds: int
    connections: int


class Result(msgspec.Struct):
    """A contender's samples by route, in the order of rounds; its resident bytes after them."""

    engine: str
    contender: str
    logs: str
    """What it wrote of each request."""
    samples: dict[str, list[Sample]] = {}
    memory: int = 0
    failure: str | None = None


@dataclass
class Turn:
    running: Running
    ids: Ids
    result: Result

    def expect_stored(self, answered: int) -> None:
        stored = self.running.contender.count(self.running) - ROWS
        if stored < answered:
            self.result.failure = f"of {answered} creates that were answered {stored} are stored"

    def weigh(self) -> None:
        try:
            self.result.memory = self.running.memory()
        except Failure as failure:
            self.result.failure = str(failure)


class Runner:
    def __init__(self, plan: Plan, folder: Path, say: Callable[[str], None]) -> None:
        self.plan = plan
        self.folder = folder
        self.say = say
        self.cores = Cores()
        self.rows = students(ROWS)

    def measure(self, lineup: list[Contender]) -> Iterator[Result]:
        for engine in self.plan.engines:
            wanted = [it for it in lineup if it.name in self.plan.contenders and engine in it.drivers]
            folder = self.folder / engine
            folder.mkdir()
            with ExitStack() as servers:
                url = None
                if engine in START:
                    try:
                        server = START[engine](folder, self.cores.database)
                    except Failure as failure:
                        self.say(f"{engine}: {failure}")
                        yield from (Result(engine, it.name, it.logs, failure=str(failure)) for it in wanted)
                        continue
                    servers.callback(server.process.stop)
                    url = server.url

                taking_part = []
                for contender in wanted:
                    result = Result(engine, contender.name, contender.logs)
                    running = Running(contender, engine, folder / contender.name, url, self.cores)
                    servers.callback(running.stop)
                    try:
                        taking_part.append(Turn(running, self._start(running), result))
                    # An answer of another shape shows as a missing key or a bad value.
                    except (Failure, httpx.HTTPError, KeyError, TypeError, ValueError) as error:
                        running.stop()
                        result.failure = str(error) if isinstance(error, Failure) else repr(error)
                        self.say(f"{engine}: {contender.name} does not take part: {result.failure}")
                        yield result
                for route in self.plan.routes:
                    self.say(f"{engine}: {route}")
                    self._play(route, taking_part)
                for turn in taking_part:
                    turn.weigh()
                    yield turn.result

    def _start(self, running: Running) -> Ids:
        begun = time.monotonic()
        running.start()
        running.contender.fill(running, self.rows)
        ids = running.contender.ids(running)
        check_answers(running, ids, self.rows)
        took = time.monotonic() - begun
        name = f"{running.engine}: {running.contender.name}"
        self.say(f"{name} serves {ROWS:,} rows and answers rightly ({took:.1f} s)")
        return ids

    def _play(self, route: str, turns: list[Turn]) -> None:
        for turn in turns:
            running = turn.running
            write_requests(running.folder / route, route, running.contender.paths, turn.ids, self.rows)
        for round_number in range(self.plan.rounds + 1):  # the first one warms up, and is forgotten
            for turn in turns:
                sample = run_wrk(
                    turn.running.port,
                    turn.running.folder / route,
                    core=self.cores.load,
                    seconds=self.plan.seconds if round_number else WARM_UP,
                    connections=self.plan.connections,
                    seed=round_number,
                )
                if round_number:
                    turn.result.samples.setdefault(route, []).append(sample)
                elif route == "create" and sample.valid:
                    turn.expect_stored(sample.answers)
