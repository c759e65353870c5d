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
def test_requests_begin_in_order_and_few_in_a_turn(
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
            each.begin(partial(begin, number))
        seen = [0, len(begun)]
        async with asyncio.timeout(TOO_LONG):
            while len(begun) < MANY + 1:
                await asyncio.sleep(0)
                seen.append(len(begun))
                if len(seen) == 3:
                    each.begin(partial(begin, MANY))
        return seen

    with asyncio.Runner(loop_factory=new_loop) as runner:
        seen = runner.run(begin_all())
    assert begun == list(range(MANY + 1))
    in_a_turn = [after - before for before, after in pairwise(seen)]
    assert max(in_a_turn) == turns.REQUESTS
    assert in_a_turn[3] == (turns.REQUESTS if take_one_turn else turns.REQUESTS_BESIDE_OTHERS)
