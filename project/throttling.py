"""How often something may be tried, right across all workers and machines: the counts are in the database."""

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from project.database.types import Text, Timestamp
from project.models import Base


class Throttle(Base):
    """How often one thing was tried by one party, and from when it may be tried again."""

    __tablename__ = "throttles"

    key: Mapped[str] = mapped_column(Text(64), primary_key=True)
    """A digest of what is tried and by whom: nobody reads in it who tried to sign in from where."""
    count: Mapped[int] = mapped_column(sa.BigInteger())
    free_at: Mapped[dt.datetime] = mapped_column(Timestamp())
    """Until then it is refused."""
    forget_at: Mapped[dt.datetime] = mapped_column(Timestamp(), index=True)
