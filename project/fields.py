"""The header fields of a request, taken apart once for all who ask for them."""

from collections.abc import Iterable

from litestar.types import Scope

LISTS = frozenset({b"accept", b"accept-encoding", b"if-match", b"if-none-match"})
"""The fields in use here whose lines, where there are several, are one list (RFC 9110, section 5.3)."""

_KEY = "registrar.fields"


class Fields(dict[bytes, bytes]):
    """The headers of a request by name. Of a field on several lines a list has them all, and another the first one."""

    repeated: frozenset[bytes] = frozenset()
    """The fields that are on several lines."""

    @classmethod
    def of(cls, scope: Scope) -> "Fields":
        """Read once. Whoever looks at the scope's own headers after this finds each list on one line, too."""
        found: Fields | None = scope["state"].get(_KEY)
        if found is None:
            lines = list(scope["headers"])
            found = scope["state"][_KEY] = cls(lines)
            if len(found) < len(lines):
                found._join(lines)
                others = [line for line in lines if line[0] not in LISTS]
                scope["headers"] = [*others, *((name, found[name]) for name in LISTS & found.keys())]
        return found

    def _join(self, lines: Iterable[tuple[bytes, bytes]]) -> None:
        together: dict[bytes, list[bytes]] = {}
        for name, value in lines:
            together.setdefault(name, []).append(value)
        for name, values in together.items():
            self[name] = b", ".join(filter(None, values)) if name in LISTS else values[0]
        self.repeated = frozenset(name for name, values in together.items() if len(values) > 1)
