"""What a service and its repository hold during one unit of work."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, NoReturn, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from project.database.connections import Connection
from project.database.statements import Row, Statement

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

    async def rows(self, statement: Statement, **values: Any) -> list[Row]:
        compiled = statement.compiled(self._dialect)
        return compiled.rows(await self.held.fetch(compiled.sql, compiled.parameters(values)))

    async def run(self, statement: Statement, **values: Any) -> int:
        """Execute a statement that returns no rows; the number of rows that it touched."""
        compiled = statement.compiled(self._dialect)
        return await self.held.execute(compiled.sql, compiled.parameters(values))

    async def run_many(self, statement: Statement, rows: Iterable[Mapping[str, Any]], **same: Any) -> None:
        """Execute a statement once for each row of values and those that are the same for all: the fastest way."""
        compiled = statement.compiled(self._dialect)
        await self.held.execute_many(compiled.sql, compiled.parameters_of(rows, same))

    async def insert(self, statement: Statement, **values: Any) -> int:
        """Insert one row; the id that the database gave it."""
        compiled = statement.compiled(self._dialect)
        return await self.held.insert(compiled.sql, compiled.parameters(values))

    async def insert_many(self, statement: Statement, rows: Iterable[Mapping[str, Any]]) -> list[int]:
        """Insert rows; their ids, in the same order."""
        compiled = statement.compiled(self._dialect)
        return await self.held.insert_many(compiled.sql, compiled.parameters_of(rows, {}))

    async def chunks(self, statement: Statement, size: int = 1000, **values: Any) -> AsyncIterator[list[Row]]:
        """The rows in lists of at most `size`, at constant memory whatever there is; only inside a snapshot."""
        compiled = statement.compiled(self._dialect)
        async for rows in self.held.chunks(compiled.sql, compiled.parameters(values), size):
            yield compiled.rows(rows)

    async def commit(self) -> NoReturn:
        raise RuntimeError("a unit of work is committed by Database.write, once it has returned")

    async def settle(self) -> None:
        """Send what the ORM still holds back to the database, before the unit of work is committed."""
        if self.sync_session._new or self.sync_session.identity_map._modified or self.sync_session._deleted:
            await self.flush()

    async def reset(self) -> None:
        """Forget everything, so that the next unit of work starts from what the database holds."""
        if self.sync_session.in_transaction() or self.sync_session.identity_map:
            await self.close()
