"""What SQLite can hold: anything in any column, as long as it is not asked to be strict."""

from typing import Any

import sqlalchemy as sa

from project.database.contents import Limits
from project.database.sessions import Session
from project.database.statements import Statement

MOST_BYTES = 1_000_000_000
"""SQLITE_MAX_LENGTH as it is compiled in: https://sqlite.org/limits.html."""

_FOLDING = Statement(
    sa.text(
        "SELECT DISTINCT x.name, x.coll FROM pragma_index_list(:of) AS l, pragma_index_xinfo(l.name) AS x "
        "WHERE l.\"unique\" AND x.key AND x.name IS NOT NULL AND upper(x.coll) <> 'BINARY'"
    ).bindparams(sa.bindparam("of", type_=sa.String))
)


class SQLiteContents:
    usual_limits = Limits(infinity=True, nan=False, negative_zero=False, row_bytes=MOST_BYTES, key_bytes=None)

    def time_as_text(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
        """It is that already."""
        return sa.type_coerce(column, sa.String)

    async def limits(self, session: Session) -> Limits:
        return self.usual_limits

    async def folding(self, session: Session, table: sa.Table) -> dict[str, str]:
        return {row[0]: row[1] for row in await session.rows(_FOLDING, of=table.name)}

    def read_anything(self, session: Session) -> None:
        held: Any = session.held
        held.read_anything()
