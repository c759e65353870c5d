"""Where all tables of the service are known."""

from sqlalchemy import MetaData, Table

NAMES_OF_CONSTRAINTS = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=NAMES_OF_CONSTRAINTS)

LABELS: dict[Table, str] = {}
"""What the records of a model's table are called: `students.student`."""
