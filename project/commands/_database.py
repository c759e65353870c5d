"""What commands that need the active database share."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from project.audit.sealing import catch_up
from project.database import Database, migrations
from project.settings import Settings

T = TypeVar("T")


def with_database(settings: Settings, work: Callable[[Database], Awaitable[T]], *, seals: bool = True) -> T:
    """Run `work` on the active database, seal what it may have left in the audit trail, and close it."""

    async def run() -> T:
        database = Database(settings)
        try:
            result = await work(database)
            if seals and migrations.is_there(database):
                await catch_up(database)
            return result
        finally:
            await database.close()

    return asyncio.run(run())
