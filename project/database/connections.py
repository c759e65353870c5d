"""What every database's connection can do."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from project.database.statements import Row


class Connection(Protocol):
    """One driver connection, with SQLAlchemy's on top of it for everything but the hot path.

    Outside `begin` and `commit` or `rollback` each statement stands for itself. Errors are the driver's own.
    """

    alchemy: AsyncConnection
    broken: bool
    """Whether the driver has lost the server, or the state is unknown: to be closed, not lent again."""

    async def fetch(self, sql: str, parameters: Sequence[Any]) -> Sequence[Row]: ...
    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Returns the number of rows touched."""
        ...

    async def execute_many(self, sql: str, parameters: Sequence[Sequence[Any]]) -> None:
        """Execute once for each; only inside a transaction."""
        ...

    def chunks(self, sql: str, parameters: Sequence[Any], size: int) -> AsyncIterator[Sequence[Row]]:
        """The result in pieces of `size` rows, at constant memory; only inside a transaction."""
        ...

    async def begin(self) -> None: ...
    async def begin_snapshot(self) -> None:
        """Begin a transaction that sees one moment and may not write."""
        ...

    async def commit(self) -> None: ...
    async def rollback(self) -> None: ...
    async def close(self) -> None: ...
