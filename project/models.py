"""The base of every app's models."""

import datetime as dt
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from advanced_alchemy.base import AdvancedDeclarativeBase, CommonTableAttributes
from advanced_alchemy.types import BigIntIdentity
from sqlalchemy import Double, Identity
from sqlalchemy.orm import Mapped, mapped_column, registry

from project.database.metadata import LABELS, metadata
from project.database.types import Timestamp


class Base(CommonTableAttributes, AdvancedDeclarativeBase):
    """A table of the service. Its rows keep to what every database can hold alike."""

    __abstract__ = True
    metadata = metadata
    registry = registry(metadata=metadata, type_annotation_map={float: Double()})

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__table__" in cls.__dict__:
            LABELS[cls.__table__] = label(cls)  # type: ignore[index]

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


def label(model: type[Any]) -> str:
    """What a model is called wherever several are: `students.student`, by its app and its name."""
    package, _, rest = model.__module__.partition(".")
    app = rest.partition(".")[0] if package == "apps" else package
    return f"{app}.{model.__name__.lower()}"


class Record(Base):
    """A table whose rows have an id that is never given out again, and the times of their first and last change."""

    __abstract__ = True

    id: Mapped[int] = mapped_column(BigIntIdentity, Identity(), primary_key=True, sort_order=-1)
    created_at: Mapped[dt.datetime] = mapped_column(Timestamp(), sort_order=1000)
    updated_at: Mapped[dt.datetime] = mapped_column(Timestamp(), sort_order=1001)
