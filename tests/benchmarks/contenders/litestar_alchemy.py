"""Litestar and advanced-alchemy as their guides show: the plugin, a provided service, commit by a hook."""

import os
from datetime import datetime
from typing import Annotated

import msgspec
from advanced_alchemy.extensions.litestar import (
    AsyncSessionConfig,
    SQLAlchemyAsyncConfig,
    SQLAlchemyPlugin,
    base,
    filters,
    providers,
    repository,
    service,
)
from litestar import Controller, Litestar, get, patch, post
from litestar.di import NamedDependency
from litestar.params import Dependency, FromPath, JSONBody
from sqlalchemy import Float, String
from sqlalchemy.orm import Mapped, mapped_column


class StudentModel(base.IdentityAuditBase):
    __tablename__ = "students"

    name: Mapped[str] = mapped_column(String(200))
    department: Mapped[str] = mapped_column(String(100))
    cgpa: Mapped[float] = mapped_column(Float(53))


class Student(msgspec.Struct):
    id: int
    name: str
    department: str
    cgpa: float
    created_at: datetime
    updated_at: datetime


class StudentCreate(msgspec.Struct):
    name: str
    department: str
    cgpa: float


class StudentUpdate(msgspec.Struct, omit_defaults=True):
    name: str | msgspec.UnsetType = msgspec.UNSET
    department: str | msgspec.UnsetType = msgspec.UNSET
    cgpa: float | msgspec.UnsetType = msgspec.UNSET


class StudentService(service.SQLAlchemyAsyncRepositoryService[StudentModel]):
    class Repository(repository.SQLAlchemyAsyncRepository[StudentModel]):
        model_type = StudentModel

    repository_type = Repository


class StudentController(Controller):
    path = "/students"
    dependencies = providers.create_service_dependencies(
        StudentService,
        "students",
        filters={"pagination_type": "limit_offset", "pagination_size": 20, "sort_field": "id", "sort_order": "asc"},
    )

    @get()
    async def list_students(
        self,
        students: NamedDependency[StudentService],
        filters: Annotated[list[filters.FilterTypes], Dependency(skip_validation=True)],
    ) -> service.OffsetPagination[Student]:
        results, total = await students.get_many_and_count(*filters)
        return students.to_schema(results, total, filters=filters, schema_type=Student)

    @post()
    async def create_student(self, students: NamedDependency[StudentService], data: JSONBody[StudentCreate]) -> Student:
        return students.to_schema(await students.create(data), schema_type=Student)

    @get("/{student_id:int}")
    async def get_student(self, students: NamedDependency[StudentService], student_id: FromPath[int]) -> Student:
        return students.to_schema(await students.get(student_id), schema_type=Student)

    @patch("/{student_id:int}")
    async def update_student(
        self, students: NamedDependency[StudentService], data: JSONBody[StudentUpdate], student_id: FromPath[int]
    ) -> Student:
        return students.to_schema(await students.update(data, item_id=student_id), schema_type=Student)


config = SQLAlchemyAsyncConfig(
    connection_string=os.environ["DATABASE_URL"],
    session_config=AsyncSessionConfig(expire_on_commit=False),
    before_send_handler="autocommit",
    create_all=True,
)
app = Litestar(route_handlers=[StudentController], plugins=[SQLAlchemyPlugin(config=config)])
