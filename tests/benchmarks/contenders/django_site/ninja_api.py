"""django-ninja: schemas, functions and its pagination."""

from datetime import datetime

from django.shortcuts import get_object_or_404
from ninja import NinjaAPI, PatchDict, Schema
from ninja.pagination import LimitOffsetPagination, paginate

from .models import Student

api = NinjaAPI()


class StudentIn(Schema):
    name: str
    department: str
    cgpa: float


class StudentOut(StudentIn):
    id: int
    created_at: datetime
    updated_at: datetime


@api.get("/students", response=list[StudentOut])
@paginate(LimitOffsetPagination)
def list_students(request):
    return Student.objects.all()


@api.post("/students", response={201: StudentOut})
def create_student(request, payload: StudentIn):
    return 201, Student.objects.create(**payload.dict())


@api.get("/students/{student_id}", response=StudentOut)
def get_student(request, student_id: int):
    return get_object_or_404(Student, id=student_id)


@api.patch("/students/{student_id}", response=StudentOut)
def update_student(request, student_id: int, payload: PatchDict[StudentIn]):
    student = get_object_or_404(Student, id=student_id)
    for field, value in payload.items():
        setattr(student, field, value)
    student.save()
    return student
