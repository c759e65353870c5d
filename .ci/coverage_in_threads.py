"""A plugin of coverage: it keeps a traced process from hanging while its threads end, on CPython 3.11.

Coverage remembers greenlets in WeakKeyDictionaries, whose entries a function written in Python removes. Those of a
thread that has ended die in a call that the interpreter was asked to make (Py_AddPendingCall); when the next such call
is asked for meanwhile, 3.11 begins the first traced function in it again and again, for ever. So C removes them here.
"""

import sys
import weakref
from typing import Any


class _RemovedByC(weakref.WeakKeyDictionary[Any, Any]):
    data: dict[Any, Any]
    _remove: Any

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._remove = self.data.__delitem__


def coverage_init(registry: Any, options: Any) -> None:
    if sys.version_info < (3, 12):
        weakref.WeakKeyDictionary = _RemovedByC  # type: ignore[misc, assignment]
