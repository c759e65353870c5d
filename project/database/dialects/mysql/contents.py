"""What MariaDB and MySQL can hold."""

from typing import Any

import msgspec
import sqlalchemy as sa

from project.database.contents import Limits
from project.database.sessions import Session
from project.database.statements import Statement

MOST_BYTES = 2**24 - 1
"""The driver reads a row whose first column is larger as none."""

_PACKET = Statement(sa.text("SELECT @@max_allowed_packet"))
_FOLDING = Statement(
    sa.text(
        "SELECT column_name, collation_name FROM information_schema.columns "
        "WHERE table_schema = DATABASE() AND table_name = :of AND collation_name NOT IN "
        "('utf8mb4_nopad_bin', 'utf8mb4_0900_bin', 'binary')"
    ).bindparams(sa.bindparam("of", type_=sa.String))
)


class MySQLContents:
    usual_limits = Limits(infinity=False, nan=False, negative_zero=False, row_bytes=MOST_BYTES, key_bytes=None)

    def time_as_text(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
        text: sa.ColumnElement[str] = sa.func.date_format(
            sa.type_coerce(column, sa.DateTime), sa.literal_column("'%Y-%m-%dT%H:%i:%s.%fZ'"), type_=sa.String
        )
        return text

    async def limits(self, session: Session) -> Limits:
        """Half of a packet: in an INSERT some characters take two bytes."""
        packet: int = (await session.rows(_PACKET))[0][0]
        return msgspec.structs.replace(self.usual_limits, row_bytes=min(packet // 2, MOST_BYTES))

    async def folding(self, session: Session, table: sa.Table) -> dict[str, str]:
        return {row[0]: row[1] for row in await session.rows(_FOLDING, of=table.name)}

    def read_anything(self, session: Session) -> None:
        """It lets nothing in that is not UTF-8."""
