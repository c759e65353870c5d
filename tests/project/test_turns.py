import asyncio
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
import uvloop

from project import turns

TOO_LONG = 10.0


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_requests_begin_in_order_and_few_in_a_turn(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    begun: list[int] = []

    async def begin_all() -> list[int]:
        begin = turns.of(asyncio.get_running_loop()).begin
        for number in range(10):
            begin(partial(begun.append, number))
        seen = [0, len(begun)]
        async with asyncio.timeout(TOO_LONG):
            while len(begun) < 11:
                await asyncio.sleep(0)
                seen.append(len(begun))
                if len(seen) == 3:
                    begin(partial(begun.append, 10))
        return seen

    with asyncio.Runner(loop_factory=new_loop) as runner:
        seen = runner.run(begin_all())
    assert begun == list(range(11))
    assert all(after - before <= turns.REQUESTS for before, after in pairwise(seen))
