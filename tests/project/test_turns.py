import asyncio
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
import uvloop

from project import turns

TOO_LONG = 10.0
MANY = 200


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("take_one_turn", [True, False])
def test_reads_begin_in_order_and_few_in_a_turn(
    new_loop: Callable[[], asyncio.AbstractEventLoop], take_one_turn: bool
) -> None:
    begun: list[int] = []

    async def begin_all() -> list[int]:
        """How many have begun by the end of each turn."""
        each = turns.of(asyncio.get_running_loop())

        def begin(number: int) -> None:
            begun.append(number)
            if take_one_turn:
                asyncio.get_running_loop().call_soon(each.end)

        for number in range(MANY):
            each.begin(partial(begin, number), reads=True)
        seen = [0, len(begun)]
        async with asyncio.timeout(TOO_LONG):
            while len(begun) < MANY + 1:
                await asyncio.sleep(0)
                seen.append(len(begun))
                if len(seen) == 3:
                    each.begin(partial(begin, MANY), reads=True)
        return seen

    with asyncio.Runner(loop_factory=new_loop) as runner:
        seen = runner.run(begin_all())
    assert begun == list(range(MANY + 1))
    in_a_turn = [after - before for before, after in pairwise(seen)]
    assert max(in_a_turn) == turns.READS
    assert in_a_turn[3] == (turns.READS if take_one_turn else turns.READS_BESIDE_OTHERS)


def test_writes_begin_at_once_and_reads_make_way_for_them() -> None:
    begun: list[str] = []

    async def begin_all() -> tuple[int, int]:
        each = turns.of(asyncio.get_running_loop())
        for _ in range(MANY):
            each.begin(partial(begun.append, "read"), reads=True)
            each.begin(partial(begun.append, "write"), reads=False)
        return begun.count("read"), begun.count("write")

    reads, writes = asyncio.run(begin_all())
    assert writes == MANY
    assert 0 < reads < turns.READS


class TestBatch:
    def test_hands_over_what_came_up_in_a_turn(self) -> None:
        handed_over: list[list[int]] = []
        batch: turns.Batch[int] = turns.Batch(handed_over.append)

        async def two_turns() -> None:
            batch.add(1)
            batch.add(2)
            assert handed_over == []
            await asyncio.sleep(0)
            batch.add(3)
            batch.flush()
            assert handed_over == [[1, 2], [3]]
            await asyncio.sleep(0)

        asyncio.run(two_turns())
        assert handed_over == [[1, 2], [3]]

    def test_outlives_a_loop_that_has_ended_before_its_next_turn(self) -> None:
        handed_over: list[list[int]] = []
        batch: turns.Batch[int] = turns.Batch(handed_over.append)
        loop = asyncio.new_event_loop()
        loop.call_soon(batch.add, 1)
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()

        async def add() -> None:
            batch.add(2)
            await asyncio.sleep(0)

        asyncio.run(add())
        assert handed_over == [[1, 2]]
