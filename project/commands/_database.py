"""What commands that need the active database share."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from project.database import Database
from project.settings import Settings

T = TypeVar("T")


def with_database(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    """Run `work` on the active database and close it."""

    async def run() -> T:
        database = Database(settings)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())
