"""Every state that a system can reach, found breadth first; the shortest story that leads to one that must not be."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Generic, TypeVar

S = TypeVar("S", bound=Hashable)

Actions = Callable[[S], Iterable[tuple[str, S]]]
"""What may happen next, whoever does it, each with a few words. A process that is paused, or cut off, is one
whose actions do not happen for a while: that takes no action of its own."""

Fault = Callable[[S], str | None]
"""What is wrong with a state, if anything is."""


class Broken(Exception):
    """A state was reached that must not be. The message is the story that leads there."""


class Exploration(Generic[S]):
    """The states that were reached, each with how it was reached first."""

    def __init__(self, *beginnings: S) -> None:
        self._came_from: dict[S, tuple[S, str] | None] = dict.fromkeys(beginnings)

    def __len__(self) -> int:
        return len(self._came_from)

    def __iter__(self) -> Iterator[S]:
        return iter(self._came_from)

    def story(self, state: S, ending: str) -> str:
        steps = []
        came = self._came_from[state]
        while came is not None:
            steps.append(came[1])
            came = self._came_from[came[0]]
        return "\n".join(f"{number:3}. {step}" for number, step in enumerate([*reversed(steps), ending], 1))

    def run(self, actions: Actions[S], fault: Fault[S]) -> "Exploration[S]":
        """Raises Broken."""
        queue = deque(self._came_from)
        while queue:
            state = queue.popleft()
            for label, reached in actions(state):
                if reached in self._came_from:
                    continue
                self._came_from[reached] = (state, label)
                if (wrong := fault(reached)) is not None:
                    raise Broken(self.story(reached, wrong))
                queue.append(reached)
        return self

    def that_reach(self, actions: Actions[S], is_end: Callable[[S], bool]) -> set[S]:
        """Of the states that were reached, those from which an end can be reached."""
        came_from: dict[S, list[S]] = {}
        for state in self:
            for _, reached in actions(state):
                came_from.setdefault(reached, []).append(state)
        found = {state for state in self if is_end(state)}
        queue = deque(found)
        while queue:
            for state in came_from.get(queue.popleft(), ()):
                if state not in found:
                    found.add(state)
                    queue.append(state)
        return found
