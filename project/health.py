"""What whoever operates the service asks it: does it run, is it ready, how does it fare."""

import asyncio
from typing import Literal

import msgspec
from litestar import Controller, Response, get
from litestar.di import NamedDependency

from project import metrics
from project.database import Database, migrations
from project.database.errors import DatabaseError
from project.problems import Unavailable

PATIENCE = 2.0
"""Seconds that the database has to answer before it counts as away: less than whoever asks is used to wait."""


class Health(msgspec.Struct):
    """That all is well."""

    status: Literal["ok"] = "ok"


class OperationsController(Controller):
    """For whoever operates the service."""

    tags = ("operations",)

    @get("/health/live", operation_id="getLiveness", response_description="It runs.")
    async def live(self) -> Health:
        """Ask whether the service runs.

        This says nothing of the database.
        """
        return Health()

    @get("/health/ready", operation_id="getReadiness", response_description="It can.")
    async def ready(self, database: NamedDependency[Database]) -> Health:
        """Ask whether the service can answer requests.

        It can if the database answers, and has the tables of this version.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                pending = await migrations.pending(database)
                if not pending:
                    await database.find()
        except TimeoutError:
            raise Unavailable("The database does not answer.", headers=AGAIN) from None
        except DatabaseError as error:
            raise Unavailable(str(error), headers=AGAIN) from error
        if pending:
            raise Unavailable(f"The database waits for migrations: {', '.join(pending)}.", headers=AGAIN)
        return Health()

    @get(
        "/metrics",
        operation_id="getMetrics",
        media_type=metrics.MEDIA_TYPE,
        response_description="The numbers of all workers.",
    )
    async def metrics(self) -> Response[bytes]:
        """Count requests, their kinds and their times.

        In the text format of Prometheus.
        """
        metrics.flush()
        return Response(await asyncio.to_thread(metrics.exposition), media_type=metrics.MEDIA_TYPE)


AGAIN = {"Retry-After": "1"}
