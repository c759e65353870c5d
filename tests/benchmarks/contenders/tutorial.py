"""Where a FastAPI tutorial ends: pydantic, synchronous SQLAlchemy, a session from `Depends(get_db)`."""

import os
from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Float, Integer, String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

DATABASE_URL = os.environ["DATABASE_URL"]

connect_args = {"check_same_thread": False} if DATABASE_URL.startswith("sqlite") else {}
engine = create_engine(DATABASE_URL, connect_args=connect_args)
SessionLocal = sessionmaker(autoflush=False, bind=engine)


class Base(DeclarativeBase):
    pass


class Student(Base):
    __tablename__ = "students"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, index=True)
    name: Mapped[str] = mapped_column(String(200), index=True)
    department: Mapped[str] = mapped_column(String(100))
    cgpa: Mapped[float] = mapped_column(Float(53))


class StudentCreate(BaseModel):
    name: str
    department: str
    cgpa: float


class StudentUpdate(BaseModel):
    name: str | None = None
    department: str | None = None
    cgpa: float | None = None


class StudentRead(StudentCreate):
    model_config = ConfigDict(from_attributes=True)

    id: int


Base.metadata.create_all(bind=engine)
app = FastAPI()


def get_db() -> Iterator[Session]:
    db = SessionLocal()
    try:
        yield db
    finally:
        db.close()


Database = Annotated[Session, Depends(get_db)]


@app.post("/students", response_model=StudentRead, status_code=201)
def create_student(student: StudentCreate, db: Database):
    row = Student(**student.model_dump())
    db.add(row)
    db.commit()
    db.refresh(row)
    return row


@app.get("/students", response_model=list[StudentRead])
def read_students(db: Database, skip: int = 0, limit: int = 20):
    return db.query(Student).order_by(Student.id).offset(skip).limit(limit).all()


@app.get("/students/{student_id}", response_model=StudentRead)
def read_student(student_id: int, db: Database):
    row = db.query(Student).filter(Student.id == student_id).first()
    if row is None:
        raise HTTPException(status_code=404, detail="Student not found")
    return row


@app.patch("/students/{student_id}", response_model=StudentRead)
def update_student(student_id: int, student: StudentUpdate, db: Database):
    row = db.query(Student).filter(Student.id == student_id).first()
    if row is None:
        raise HTTPException(status_code=404, detail="Student not found")
    for field, value in student.model_dump(exclude_unset=True).items():
        setattr(row, field, value)
    db.commit()
    db.refresh(row)
    return row
