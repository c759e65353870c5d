"""What commands that need the active database share."""

import asyncio
from collections.abc import Awaitable, Callable, Container
from typing import TypeVar

import click

from project.audit.sealing import catch_up
from project.database import Database, migrations
from project.settings import Settings
from project.transfer.gates import Record
from project.transfer.protocol import Phase
from project.transfer.visiting import Visitor

T = TypeVar("T")


def with_database(
    settings: Settings,
    work: Callable[[Database], Awaitable[T]],
    phases: Container[Phase] = frozenset(Phase),
    *,
    seals: bool = True,
) -> T:
    """Run `work` on the active database, seal what it may have left in the audit trail, and close it.

    Refuses where that is in another phase of a switch.
    """

    async def run() -> T:
        visitor = Visitor(settings)
        database = Database(settings, visitor)
        try:
            await database.find()
            if visitor.record is not None and visitor.record.gate.phase not in phases:
                raise click.ClickException(refusal(visitor.record))
            result = await work(database)
            if seals and migrations.is_there(database):
                await catch_up(database)
            return result
        finally:
            await database.close()

    return asyncio.run(run())


def refusal(record: Record) -> str:
    """Why nothing else can be done with a database that is part of a switch, and how to end that."""
    gate = record.gate
    if gate.phase is Phase.RETAINING:
        return f"The way back to {record.other_alias} is open: give it up first with `switchdb --complete`."
    return f"Switch {gate.switch} is under way ({gate.phase}): end it first with `switchdb --resume` or `--abort`."
