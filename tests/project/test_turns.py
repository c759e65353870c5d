import asyncio
from collections.abc import Callable
from functools import partial

import pytest
import uvloop

from project import turns


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_requests_begin_in_order_and_few_in_a_turn(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    begun: list[int] = []

    async def begin_all() -> list[int]:
        for number in range(10):
            turns.of(asyncio.get_running_loop()).begin(partial(begun.append, number))
        seen = [len(begun)]
        while len(begun) < 10:
            await asyncio.sleep(0)
            seen.append(len(begun))
        return seen

    with asyncio.Runner(loop_factory=new_loop) as runner:
        seen = runner.run(begin_all())
    assert begun == list(range(10))
    assert all(after - before <= turns.REQUESTS for before, after in zip([0, *seen], seen, strict=False))
