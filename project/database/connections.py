"""What every database's connection can do."""

import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from project.database.statements import Row

SILENCE_SECONDS = 10
"""How long a server's machine may not be heard of before the connection counts as broken."""


class Connection(Protocol):
    """One driver connection, with SQLAlchemy's on top of it for everything but the hot path.

    Outside `begin` and `commit` or `rollback` each statement stands for itself. Errors are the driver's own, but for
    OutcomeUnknown.
    """

    alchemy: AsyncConnection
    broken: bool
    """Whether its state is unknown: to be closed, not lent again."""

    @property
    def is_lost(self) -> bool:
        """Whether the server is no longer at the other end."""
        ...

    async def fetch(self, sql: str, parameters: Sequence[Any]) -> Sequence[Row]: ...
    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Returns the number of rows touched."""
        ...

    async def execute_many(self, sql: str, parameters: Sequence[Sequence[Any]]) -> None:
        """Execute once for each; only inside a transaction."""
        ...

    async def insert(self, sql: str, parameters: Sequence[Any]) -> int:
        """Insert one row. Returns the id that the database gave it."""
        ...

    async def insert_many(self, sql: str, parameters: Sequence[Sequence[Any]]) -> list[int]:
        """Insert a row for each; only inside a transaction. Returns their ids in the same order."""
        ...

    def chunks(self, sql: str, parameters: Sequence[Any], size: int) -> AsyncIterator[Sequence[Row]]:
        """The result in pieces of `size` rows, at constant memory; only inside a transaction."""
        ...

    async def begin(self) -> None: ...
    async def begin_snapshot(self, seconds: float | None) -> None:
        """Begin a transaction that sees one moment and may not write; `seconds` is what a statement in it may take."""
        ...

    async def commit(self) -> None: ...
    async def rollback(self) -> None: ...
    def abort(self) -> None:
        """Break the connection, and off whatever waits for the server."""
        ...

    async def close(self) -> None:
        """Never raises."""
        ...


def watch_silence(transport: Any) -> None:
    """Let the system find out when the machine at the other end is gone without a word."""
    connected = transport.get_extra_info("socket")
    if connected.family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(AttributeError):  # what this system does not have, it cannot be asked for
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SILENCE_SECONDS // 2)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, SILENCE_SECONDS // 2)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_SECONDS * 1000)
