"""The base of every app's models."""

import datetime as dt
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from advanced_alchemy.base import AdvancedDeclarativeBase, CommonTableAttributes
from advanced_alchemy.types import BigIntIdentity
from sqlalchemy import Double, Identity, MetaData
from sqlalchemy.orm import Mapped, mapped_column, registry

from project.database.types import Timestamp

NAMES_OF_CONSTRAINTS = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(CommonTableAttributes, AdvancedDeclarativeBase):
    """A table of the service. Its rows keep to what every database can hold alike."""

    __abstract__ = True
    metadata = MetaData(naming_convention=NAMES_OF_CONSTRAINTS)
    registry = registry(metadata=metadata, type_annotation_map={float: Double()})

    @classmethod
    def row_of(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a row after the model's `@validates` methods, which get and set them on a plain object.

        Making an instance of each of a million rows costs more than writing them does.
        """
        draft = SimpleNamespace(**values)
        validators: Any = cls.__mapper__.validators
        for name, (validate, _) in validators.items():
            if name in values:
                setattr(draft, name, validate(draft, name, values[name]))
        return draft.__dict__


class Record(Base):
    """A table whose rows have an id that is never given out again, and the times of their first and last change."""

    __abstract__ = True

    id: Mapped[int] = mapped_column(BigIntIdentity, Identity(), primary_key=True, sort_order=-1)
    created_at: Mapped[dt.datetime] = mapped_column(Timestamp(), sort_order=1000)
    updated_at: Mapped[dt.datetime] = mapped_column(Timestamp(), sort_order=1001)
