"""All rows as they were at one moment, page by page, while the service goes on writing."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

import sqlalchemy as sa

from project.database.sessions import Session
from project.database.statements import Row, Statement
from project.transfer import capture, gates
from project.transfer.capture import GATE_SECONDS
from project.transfer.charge import Charge
from project.transfer.pages import pages
from project.transfer.protocol import Step
from project.transfer.taking import advance

AHEAD = 2
"""Pages that are read while another is written."""

Page = tuple[sa.Table, Sequence[Row]]


async def copy(charge: Charge) -> Step:
    """From one snapshot of the source into the target, which then logs its changes too: for the way back."""
    charge.begin(Step.SNAPSHOT)
    async with charge.links.reading.snapshot() as source:
        total = 0
        for table in charge.tables:
            total += (await source.rows(Statement(sa.select(sa.func.count()).select_from(table))))[0][0]
        charge.copied = 0
        charge.begin(Step.COPY)
        charge.watcher.tell("Copying", 0, total)
        async with _read_ahead(_every_page(source, charge.tables)) as read:
            async for table, rows in read:
                charge.begin(Step.COPY)
                await _write(charge, table, rows)
                charge.copied += len(rows)
                charge.watcher.tell("Copying", charge.copied, total)
    await capture.install(charge.links.target, charge.tables, charge.turn, charge.pause_for)
    charge.begin(Step.COPIED)
    return await advance(charge, Step.READ_LOG)


async def _write(charge: Charge, table: sa.Table, rows: Sequence[Row]) -> None:
    link = charge.links.target
    async with gates.locked(link, GATE_SECONDS, turn=charge.turn) as locked:
        await link.switching.begin_fill(locked.session)
        await link.switching.bulk_insert(locked.session, table, list(table.columns), rows)
        await link.switching.end_fill(locked.session)


async def _every_page(session: Session, tables: Sequence[sa.Table]) -> AsyncGenerator[Page]:
    for table in tables:
        async for rows in pages(session, table):
            yield table, rows


@asynccontextmanager
async def _read_ahead(found: AsyncGenerator[Page]) -> AsyncIterator[AsyncGenerator[Page]]:
    """The same pages, the next ones read while one is in use."""
    ready: asyncio.Queue[Page | Exception | None] = asyncio.Queue(AHEAD)

    async def read() -> None:
        """Nobody takes anything any more from one that is cancelled."""
        try:
            async for page in found:
                await ready.put(page)
        except Exception as error:
            await ready.put(error)
        else:
            await ready.put(None)

    async def take() -> AsyncGenerator[Page]:
        while (page := await ready.get()) is not None:
            if isinstance(page, Exception):
                raise page
            yield page

    reading = asyncio.create_task(read())
    try:
        yield take()
    finally:
        reading.cancel()
        await asyncio.wait({reading})
