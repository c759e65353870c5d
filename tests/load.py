"""Clients that change students over HTTP without end, and a ledger of what each was told.

with Load([service.url]) as load:
    load.wait_for(500)
    ...
assert load.failures == []
assert load.differences(exported(service.url)) == []

Every client has rows of its own, so it knows what each must be. Besides these all of them count on one row together, by
PATCH with If-Match: an update that was lost shows in its number.
"""

import itertools
import json
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import httpx

from tests.processes import SECONDS, until

Student = dict[str, Any]
"""As it was answered; of one whose answer never came only what was sent, which has no times and no id."""

JSON = {"Content-Type": "application/json"}
GIVEN = ("name", "department", "cgpa")
BATCH = 5
MOST_ROWS = 200
"""That a client makes: then it deletes before it creates."""
MOST_REPEATED = 50
"""Answers under a key of which a client may ask again."""
RECONNECT = 0.02
"""Seconds between two attempts to reach a server that is gone."""


class Answer(NamedTuple):
    status: int
    body: bytes
    etag: str
    replayed: bool

    @property
    def student(self) -> Student:
        found: Student = json.loads(self.body)
        return found


class Took(NamedTuple):
    """A write that was answered: when it was sent, on `time.monotonic`, and after how many seconds."""

    sent: float
    seconds: float
    what: str


class Unanswered(Exception):
    """Nobody knows whether it was done."""


class Load:
    """`urls` are the servers; a client that loses one goes on with the next. They may be replaced meanwhile.

    `think` is how many seconds a client waits between an answer and its next request. `students` are some that are
    there already, which the clients share out among themselves.
    """

    def __init__(
        self, urls: Sequence[str], clients: int = 8, think: float = 0.0, students: Sequence[Student] = ()
    ) -> None:
        self.urls = list(urls)
        self.think = think
        self.failures: list[str] = []
        """Answers that no client should get, and reads that are not what the reader had been told before."""
        self.refused: list[str] = []
        """503: nothing of it was kept, says the service."""
        self.broken = 0
        """Requests that were never answered."""
        self.took: list[Took] = []
        self.run = uuid.uuid4().hex[:8]
        self.stopping = threading.Event()
        self.counted = 0
        """Answers to "one more" on the row that all count on."""
        self.uncounted = 0
        """Of those that were never answered."""
        self.counting = threading.Lock()
        self.counter = self._create_counter()
        self._clients = [_Client(self, number, students[number::clients]) for number in range(clients)]
        self._threads = [threading.Thread(target=client.work, daemon=True) for client in self._clients]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Lets each client finish its request."""
        self.stopping.set()
        for thread in self._threads:
            thread.join(2 * SECONDS)

    def wait_for(self, count: int) -> None:
        """Until that many more writes were answered."""
        enough = len(self.took) + count
        until(lambda: len(self.took) >= enough or not self._is_alive(), f"{count} writes to be answered")
        assert self._is_alive(), f"a client ended: {self.failures}"

    def slowest(self, since: float = 0.0, until: float = float("inf")) -> Took:
        """Of the writes that were under way at any moment between the two."""
        some = [took for took in self.took if took.sent + took.seconds >= since and took.sent <= until]
        return max(some, key=lambda took: took.seconds)

    def differences(self, rows: Iterable[Student]) -> list[str]:
        """What is not in the table as the clients were told, in words; `rows` are all of it, other people's too."""
        expected: dict[int, list[Student | None]] = {}
        pending: list[list[Student]] = []
        for client in self._clients:
            expected |= client.rows
            pending += client.pending
        found: list[str] = []
        of_nobody: Counter[tuple[Any, ...]] = Counter()
        seen: set[int] = set()
        for row in rows:
            if row["id"] == self.counter:
                found += self._miscounted(row)
            elif row["id"] in expected:
                if row["id"] in seen:
                    found.append(f"{row} is there twice")
                seen.add(row["id"])
                if not any(_is(state, row) for state in expected[row["id"]]):
                    found.append(f"{row} should be {expected[row['id']]}")
            elif row["name"].startswith(self.run):
                of_nobody[_given(row)] += 1
        for key, states in expected.items():
            if key not in seen and None not in states:
                found.append(f"{states} is missing")
        for batch in pending:
            there = [of_nobody.pop(_given(student), 0) for student in batch]
            if set(there) not in ({0}, {1}):
                found.append(f"{batch} was never answered, and is there {there} times")
        return found + [f"{given} is there {times} times, which nobody was told" for given, times in of_nobody.items()]

    def _miscounted(self, row: Student) -> list[str]:
        number = int(row["name"].rpartition(" ")[2])
        if self.counted <= number <= self.counted + self.uncounted:
            return []
        return [f"the counter is {number} after {self.counted} answers and {self.uncounted} requests without one"]

    def _create_counter(self) -> int:
        answer = httpx.post(
            f"{self.urls[0]}/students", json=_student(f"{self.run} counter 0"), timeout=SECONDS
        ).raise_for_status()
        new_id: int = answer.json()["id"]
        return new_id

    def _is_alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)


class _Client:
    def __init__(self, load: Load, number: int, students: Sequence[Student]) -> None:
        self.rows: dict[int, list[Student | None]] = {student["id"]: [student] for student in students}
        """What each may be: one thing, but after a request without an answer. None is nothing at all."""
        self.pending: list[list[Student]] = []
        """What may have been created without anybody having been told."""
        self._load = load
        self._number = number
        self._place = number
        """Of its server among the urls."""
        self._tags: dict[int, tuple[str, str]] = {}
        """The entity tag, and the one before."""
        self._names = (f"{load.run}-{number}-{count}" for count in itertools.count())
        self._keyed: list[tuple[str, bytes, bytes]] = []
        self._unkept: list[tuple[str, bytes]] = []
        self._most = MOST_ROWS + len(students)
        self._alive = len(students)
        self._chance = random.Random(number)
        self._connection: HTTPConnection | None = None

    def work(self) -> None:
        steps = {
            self._create: 20, self._create_with_key: 12, self._repeat: 5, self._batch: 4, self._replace: 14,
            self._change: 20, self._change_stale: 4, self._delete: 12, self._read: 14, self._count: 5,
        }  # fmt: skip
        try:
            while not self._load.stopping.is_set():
                uncertain = next((key for key, states in self.rows.items() if len(states) > 1), None)
                try:
                    if self._unkept:
                        self._send_again()
                    elif uncertain is not None:
                        self._settle(uncertain)
                    elif self._alive > self._most:
                        self._delete()
                    else:
                        self._chance.choices(list(steps), list(steps.values()))[0]()
                except Unanswered:
                    self._load.stopping.wait(RECONNECT)
                if self._load.think:
                    self._load.stopping.wait(self._load.think)
        except Exception as error:
            self._load.failures.append(f"client {self._number} ended: {error!r}")
            raise
        finally:
            self._disconnect()

    # What a client does.

    def _create(self) -> None:
        student = _student(next(self._names))
        with self._unsure([student]):
            answer = self._write("POST", "/students", _json(student), 201)
        if answer:
            self._keep(answer.student, answer.etag)

    def _create_with_key(self) -> None:
        student = _student(next(self._names))
        self._unkept.append((student["name"], _json(student)))
        self._send_again()

    def _send_again(self) -> None:
        """Under the same key, until there is an answer."""
        key, body = self._unkept[-1]
        answer = self._write("POST", "/students", body, 201, {"Idempotency-Key": key})
        if answer is None:
            return
        self._unkept.pop()
        self._keep(answer.student, answer.etag)
        self._keyed.append((key, body, answer.body))
        del self._keyed[:-MOST_REPEATED]

    def _repeat(self) -> None:
        if not self._keyed:
            return
        key, body, first = self._chance.choice(self._keyed)
        answer = self._write("POST", "/students", body, 201, {"Idempotency-Key": key})
        if answer and (answer.body != first or not answer.replayed):
            self._fail(f"{key} was answered {first!r} first, and then {answer}")

    def _batch(self) -> None:
        students = [_student(next(self._names)) for _ in range(BATCH)]
        with self._unsure(students):
            answer = self._write("POST", "/students/batch", _json(students), 201)
        if answer:
            for student in json.loads(answer.body)["items"]:
                self._keep(student, None)

    def _replace(self) -> None:
        if key := self._one():
            self._alter("PUT", key, _student(next(self._names), self._chance.randint(0, 100) / 10), {})

    def _change(self) -> None:
        key = self._one()
        if key in self._tags:
            changes = {"name": next(self._names), "cgpa": self._chance.random() * 10}
            self._alter("PATCH", key, changes, {"If-Match": self._tags[key][0]})

    def _change_stale(self) -> None:
        key = self._one()
        if key in self._tags and self._tags[key][1]:
            self._write("PATCH", f"/students/{key}", _json({"cgpa": 1}), 412, {"If-Match": self._tags[key][1]})

    def _delete(self) -> None:
        if key := self._one():
            before = self.rows[key]
            self.rows[key] = [*before, None]
            if self._write("DELETE", f"/students/{key}", b"", 204):
                self.rows[key] = [None]
                self._tags.pop(key, None)
                self._alive -= 1
            else:
                self.rows[key] = before

    def _read(self) -> None:
        """Of a row of its own, and of one that it deleted: whoever was told of a change must see it."""
        if key := self._one(gone=self._chance.random() < 0.2):
            before = self.rows[key]
            answer = self._send("GET", f"/students/{key}")
            if answer.status == 503:
                self._load.refused.append(f"GET /students/{key}: {answer.body!r}")
            elif answer.status not in (200, 404) or not _is(before[0], _seen(answer)):
                self._fail(f"GET /students/{key}: {answer} instead of {before}")

    def _count(self) -> None:
        path = f"/students/{self._load.counter}"
        seen = self._send("GET", path)
        if seen.status != 200:
            return
        number = int(seen.student["name"].rpartition(" ")[2])
        body = _json({"name": f"{self._load.run} counter {number + 1}"})
        with self._load.counting:
            self._load.uncounted += 1
        answer = self._write("PATCH", path, body, 200, {"If-Match": seen.etag}, or_else=412)
        with self._load.counting:
            self._load.uncounted -= 1
            self._load.counted += answer is not None and answer.status == 200

    def _settle(self, key: int) -> None:
        """Look what became of a request without an answer."""
        answer = self._send("GET", f"/students/{key}")
        if answer.status == 503:
            return
        row = _seen(answer)
        if answer.status not in (200, 404) or not any(_is(state, row) for state in self.rows[key]):
            self._fail(f"GET /students/{key}: {answer} instead of one of {self.rows[key]}")
        self.rows[key] = [row]
        self._tags.pop(key, None)
        self._alive -= row is None

    # What it makes of the answers.

    def _alter(self, method: str, key: int, changes: dict[str, Any], headers: dict[str, str]) -> None:
        before = self.rows[key]
        assert before[0] is not None
        self.rows[key] = [*before, {name: {**before[0], **changes}[name] for name in GIVEN}]
        answer = self._write(method, f"/students/{key}", _json(changes), 200, headers)
        self.rows[key] = before
        if answer:
            if not _is(answer.student, {**before[0], **changes, "updated_at": answer.student["updated_at"]}):
                self._fail(f"{method} /students/{key} of {changes} on {before[0]}: {answer}")
            self._keep(answer.student, answer.etag)

    def _keep(self, student: Student, tag: str | None) -> None:
        key = student["id"]
        self._alive += key not in self.rows
        self.rows[key] = [student]
        if tag is None:
            self._tags.pop(key, None)
        else:
            self._tags[key] = (tag, self._tags.get(key, ("", ""))[0])

    def _one(self, *, gone: bool = False) -> int:
        """The id of a row, or 0 where there is none."""
        found = [key for key, states in self.rows.items() if (states == [None]) == gone]
        return self._chance.choice(found) if found else 0

    @contextmanager
    def _unsure(self, students: list[Student]) -> Iterator[None]:
        self.pending.append(students)
        try:
            yield
        except Unanswered:
            raise
        else:
            self.pending.remove(students)

    def _fail(self, sentence: str) -> None:
        self._load.failures.append(sentence)

    # How it asks.

    def _write(
        self,
        method: str,
        path: str,
        body: bytes,
        expected: int,
        headers: dict[str, str] | None = None,
        or_else: int | None = None,
    ) -> Answer | None:
        """None where nothing was kept, as far as the service says. Raises Unanswered."""
        sent = time.monotonic()
        answer = self._send(method, path, body, {**JSON, **(headers or {})})
        if answer.status in (expected, or_else):
            self._load.took.append(Took(sent, time.monotonic() - sent, f"{method} {path}"))
            return answer
        if answer.status == 503 and b"/problems/outcome-unknown" in answer.body:
            self._load.broken += 1
            raise Unanswered
        if answer.status == 503:
            self._load.refused.append(f"{method} {path}: {answer.body!r}")
        else:
            self._fail(f"{method} {path} {body!r}: {answer}")
        return None

    def _send(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        try:
            if self._connection is None:
                self._connection = self._connected()
            self._connection.request(method, path, body, headers or {})
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, HTTPException) as error:
            self._disconnect()
            self._load.broken += 1
            raise Unanswered from error
        tag, replayed = response.getheader("ETag", ""), response.getheader("Idempotency-Replayed") is not None
        return Answer(response.status, answer, tag, replayed)

    def _connected(self) -> HTTPConnection:
        self._place += 1
        url = urlsplit(self._load.urls[self._place % len(self._load.urls)])
        return HTTPConnection(str(url.hostname), url.port, timeout=SECONDS)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def exported(url: str) -> Iterator[Student]:
    """All students that a service has, at one moment."""
    with (
        closing(httpx.Client(timeout=10 * SECONDS)) as client,
        client.stream("GET", f"{url}/students/export", params={"format": "jsonl"}) as response,
    ):
        response.raise_for_status()
        for line in response.iter_lines():
            yield json.loads(line)


def _student(name: str, cgpa: float = 8.9) -> Student:
    return {"name": name, "department": "Physique é", "cgpa": cgpa}


def _json(body: object) -> bytes:
    return json.dumps(body).encode()


def _given(student: Student) -> tuple[Any, ...]:
    return tuple(student[name] for name in GIVEN)


def _seen(answer: Answer) -> Student | None:
    return answer.student if answer.status == 200 else None


def _is(state: Student | None, row: Student | None) -> bool:
    """Whether a row is what is known of it."""
    return row is None if state is None else row is not None and state.items() <= row.items()
