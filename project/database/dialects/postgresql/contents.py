"""What PostgreSQL can hold."""

from typing import Any

import sqlalchemy as sa

from project.database.contents import Limits
from project.database.sessions import Session
from project.database.statements import Statement

MOST_BYTES = 2**30 - 2**16
"""A value, and a message to the server, may have 1 GiB."""
MOST_KEY_BYTES = 2704
"""A third of a page: BTMaxItemSize in PostgreSQL's src/include/access/nbtree.h."""

_FOLDING = Statement(
    sa.text(
        "SELECT a.attname, c.collname FROM pg_attribute AS a JOIN pg_collation AS c ON c.oid = a.attcollation "
        "WHERE a.attrelid = to_regclass(:of) AND NOT c.collisdeterministic"
    ).bindparams(sa.bindparam("of", type_=sa.String))
)


class PostgreSQLContents:
    usual_limits = Limits(infinity=True, nan=True, negative_zero=True, row_bytes=MOST_BYTES, key_bytes=MOST_KEY_BYTES)

    def time_as_text(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
        """It knows moments before the year 1, after 9999, and infinite ones."""
        moment: sa.ColumnElement[Any] = sa.type_coerce(column, sa.DateTime(timezone=True))
        is_common = sa.and_(
            moment >= sa.literal_column("'0001-01-01 00:00:00Z'"), moment < sa.literal_column("'10000-01-01 00:00:00Z'")
        )
        in_utc = sa.func.timezone(sa.literal_column("'UTC'"), moment)
        text = sa.func.to_char(in_utc, sa.literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"""))
        return sa.case((is_common, text), else_=sa.cast(moment, sa.Text))

    async def limits(self, session: Session) -> Limits:
        return self.usual_limits

    async def folding(self, session: Session, table: sa.Table) -> dict[str, str]:
        quoted = f'"{table.name}"'
        return {row[0]: row[1] for row in await session.rows(_FOLDING, of=quoted)}

    def read_anything(self, session: Session) -> None:
        """It lets nothing in that is not UTF-8."""
