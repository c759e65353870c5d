"""What a service and its repository hold during one unit of work."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from project.database.connections import Connection
from project.database.statements import Row, Statement
from project.database.trails import INSERT, TRAIL, Trail

S = TypeVar("S")


class Session(AsyncSession):
    """SQLAlchemy's session on a held connection, plus the short way for statements that are compiled once.

    Both ways speak through the same connection and so in the same transaction.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(bind=connection.alchemy, expire_on_commit=False, autobegin=True)
        self.held = connection
        self._dialect = connection.alchemy.dialect
        self._services: dict[type[Any], Any] = {}

    @property
    def dialect_name(self) -> str:
        return self._dialect.name

    def service(self, service_type: type[S]) -> S:
        """The service of that type in this unit of work: how one app's service reaches another's."""
        found: S | None = self._services.get(service_type)
        if found is None:
            found = self._services[service_type] = service_type(session=self)  # type: ignore[call-arg]
        return found

    @property
    def trail(self) -> Trail:
        """Raises RuntimeError outside a unit of work that writes."""
        found: Trail | None = self.info.get(TRAIL)
        if found is None:
            raise RuntimeError("records are written in units of work, by Database.write")
        return found

    async def rows(self, statement: Statement, **values: Any) -> list[Row]:
        compiled = statement.compiled(self._dialect)
        rows = compiled.rows(await self.held.fetch(compiled.sql, compiled.parameters(values)))
        if statement.target is not None:
            self.trail.touch(statement.target, len(rows))
        return rows

    async def run(self, statement: Statement, **values: Any) -> int:
        """Execute a statement that returns no rows; the number of rows that it touched."""
        compiled = statement.compiled(self._dialect)
        count = await self.held.execute(compiled.sql, compiled.parameters(values))
        if statement.target is not None:
            self.trail.touch(statement.target, count)
        return count

    async def run_many(self, statement: Statement, rows: Iterable[Mapping[str, Any]], **same: Any) -> None:
        """Execute a statement once for each row of values and those that are the same for all: the fastest way."""
        compiled = statement.compiled(self._dialect)
        parameters = compiled.parameters_of(rows, same)
        await self.held.execute_many(compiled.sql, parameters)
        if statement.target is not None:
            self.trail.touch(statement.target, len(parameters))

    async def insert(self, statement: Statement, **values: Any) -> int:
        """Insert one row; the id that the database gave it."""
        compiled = statement.compiled(self._dialect)
        new_id = await self.held.insert(compiled.sql, compiled.parameters(values))
        if statement.target is not None:
            self.trail.touch(statement.target, 1)
        return new_id

    async def insert_many(self, statement: Statement, rows: Iterable[Mapping[str, Any]]) -> list[int]:
        """Insert rows; their ids, in the same order."""
        compiled = statement.compiled(self._dialect)
        new_ids = await self.held.insert_many(compiled.sql, compiled.parameters_of(rows, {}))
        if statement.target is not None:
            self.trail.touch(statement.target, len(new_ids))
        return new_ids

    async def chunks(self, statement: Statement, size: int = 1000, **values: Any) -> AsyncIterator[list[Row]]:
        """The rows in lists of at most `size`, at constant memory whatever there is; only inside a snapshot."""
        compiled = statement.compiled(self._dialect)
        async for rows in self.held.chunks(compiled.sql, compiled.parameters(values), size):
            yield compiled.rows(rows)

    async def commit(self) -> NoReturn:
        raise RuntimeError("a unit of work is committed by Database.write, once it has returned")

    async def settle(self) -> None:
        """Send what the ORM still holds back, and the trail, before the unit of work is committed."""
        await self.leave(await self.finish())

    async def finish(self) -> list[dict[str, Any]]:
        """Send what the ORM still holds back. Gives the entries of the trail, which `leave` sends."""
        if self.sync_session._new or self.sync_session.identity_map._modified or self.sync_session._deleted:
            await self.flush()
        trail: Trail | None = self.info.get(TRAIL)
        return [] if trail is None else trail.entries()

    async def leave(self, entries: Sequence[Mapping[str, Any]]) -> None:
        if len(entries) == 1:
            await self.run(INSERT, **entries[0])
        elif entries:
            await self.run_many(INSERT, entries)

    async def reset(self) -> None:
        """Forget everything, so that the next unit of work starts from what the database holds."""
        self.info.pop(TRAIL, None)
        if self.sync_session.in_transaction() or self.sync_session.identity_map:
            await self.close()
