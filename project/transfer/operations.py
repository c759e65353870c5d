"""What an operator can ask for, each as one function: the databases are found, and a coordinator is put in charge."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from project import registry
from project.database import migrations
from project.settings import Settings
from project.transfer import coordinator, protocol, surveys, way_back
from project.transfer.charge import Charge, Failed, Stopped, Watcher
from project.transfer.gates import Record
from project.transfer.protocol import Phase, Replaced
from project.transfer.report import End, Report, State
from project.transfer.sides import Side, Sides, Unreachable
from project.transfer.taking import Goal

GIVEN_UP = frozenset({Phase.ABORTING, Phase.IDLE, Phase.RETAINING})
"""Where a source is after an abort."""


class Operations:
    """Raise Failed, Refused, Stopped, SettingsError and DatabaseError, each with a sentence."""

    def __init__(
        self, settings: Settings, watcher: Watcher, *, max_pause: float = 1.0, keeps_copying: bool = False
    ) -> None:
        """`max_pause` is how many seconds writers may be held for."""
        self._settings = settings
        self._watcher = watcher
        self._max_pause = max_pause
        self._keeps_copying = keeps_copying
        self._tables = registry.tables(settings.installed_apps)

    async def switch(self, alias: str) -> Report:
        async with self._sides() as sides:
            source, record = await sides.active()
            target = sides.named(alias)
            there = await surveys.look_at_target(source, target)
            if not surveys.leads_back(record, there):
                protocol.begin(record.gate, "", "")
                plan = await surveys.look_ahead(source, target, self._tables, self._watcher)
                if plan.findings.rows:
                    return surveys.planned(source, target, plan)
                await migrations.migrate(target.database)
                if there is None or there.gate.phase is not Phase.FILLING:  # what that lacks it gets when it is opened
                    await surveys.require_tables(target, self._tables)
                await target.look()
            return await self._run(source, target, "switch")

    async def resume(self) -> Report:
        async with self._sides() as sides:
            source, record = await sides.active()
            if record.gate.phase is Phase.RETAINING:
                return _nothing_moved(
                    source, record, f"The service has moved to {source.alias} already: nothing is left to resume."
                )
            protocol.take_over(record.gate)
            return await self._run(source, await sides.other(record), "resume")

    async def cut_over(self) -> Report:
        """Go on with a switch that keeps copying, to its end."""
        async with self._sides() as sides:
            source, record = await sides.active()
            if record.gate.phase in coordinator.UNCOPIED:
                raise Failed("The rows are still being copied: wait for that to end, or --resume to copy them anew.")
            protocol.take_over(record.gate)
            return await self._run(source, await sides.other(record), "resume")

    async def abort(self) -> Report:
        async with self._sides() as sides:
            source, record = await sides.active()
            protocol.give_up(record.gate)
            try:
                return await self._run(source, await sides.other(record), "abort")
            except Unreachable:
                if record.other_alias not in self._settings.databases:
                    raise
                return await self._run(source, sides.named(record.other_alias), "abort", target_is_away=True)

    async def back(self) -> Report:
        """To the database left last, with what has changed since."""
        async with self._sides() as sides:
            source, record = await sides.active()
            if record.gate.phase in protocol.UNDER_WAY or record.gate.phase is Phase.MOVED:
                protocol.begin(record.gate, "", "")
            if record.gate.phase is not Phase.RETAINING:
                raise Failed("There is no way back: no switch was made, or its way back was given up with --complete.")
            return await self._run(source, await sides.other(record), "back")

    async def complete(self) -> Report:
        """End the way back."""
        async with self._sides() as sides:
            source, record = await sides.active()
            began = time.monotonic()
            await way_back.complete(source, self._tables)
            sentence = f"The way back is given up: {source.alias} logs no more for it."
            return _nothing_moved(source, record, sentence, time.monotonic() - began)

    async def _run(self, source: Side, target: Side, goal: Goal, *, target_is_away: bool = False) -> Report:
        charge = Charge(
            source,
            target,
            self._tables,
            self._watcher,
            max_pause=self._max_pause,
            keeps_copying=self._keeps_copying,
        )
        charge.target_is_away = target_is_away
        began = time.monotonic()
        state: State = "aborted" if goal == "abort" else "done"
        with _stopped_by_signals(charge):
            try:
                await coordinator.run(charge, goal)
            except (Stopped, Replaced):
                if not charge.is_in_step:
                    raise
                state = "aborted" if (await source.look()).gate.phase in GIVEN_UP else "copying"
        is_over = state == "done" and not charge.fenced_at  # what is resumed had moved before
        return Report(
            switch_id=charge.gate.switch,
            state=state,
            source=_end(source),
            target=_end(target),
            tables=list(charge.sums),
            rows=charge.copied + charge.drained,
            seconds=time.monotonic() - began,
            pause_ms=charge.pause * 1000 if charge.pause else None,
            findings=charge.findings.kept,
            found=charge.findings.rows,
            sentence=f"The service has moved to {target.alias}." if is_over else None,
        )

    @asynccontextmanager
    async def _sides(self) -> AsyncIterator[Sides]:
        sides = Sides(self._settings)
        try:
            yield sides
        finally:
            await sides.close()


def _nothing_moved(side: Side, record: Record, sentence: str, seconds: float = 0.0) -> Report:
    return Report(
        switch_id=record.gate.switch,
        state="done",
        source=_end(side),
        target=_end(side),
        tables=[],
        rows=0,
        seconds=seconds,
        pause_ms=None,
        findings=[],
        found=0,
        sentence=sentence,
    )


def _end(side: Side) -> End:
    return End(side.alias, side.dialect.title)


@contextmanager
def _stopped_by_signals(charge: Charge) -> Iterator[None]:
    """Ctrl-C ends between two steps; pressed again, at once: as a crash would, which is no worse."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def stop() -> None:
        if charge.stop():
            charge.watcher.say("Stopping after this step: again, and it stops at once, as it would in a crash.")
        elif task is not None:
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        yield
    except asyncio.CancelledError:
        if task is None or not charge.is_stopping:
            raise
        task.uncancel()
        raise Stopped from None
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
