"""What clients send and see of students: one struct a shape, each field's rules written once."""

import datetime as dt
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

_BLANKS = r"\u0020\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_CONTROLS = r"\u0000-\u001f\u007f-\u009f"
VISIBLE = rf"^[^{_CONTROLS}]*[^{_CONTROLS}{_BLANKS}][^{_CONTROLS}]*\Z"
"""At least one character that is not blank (Unicode's White_Space), and none that is a control (Unicode's Cc)."""

REFUSAL = {"refusal": "must hold at least one visible character, and no control characters"}

Id = Annotated[
    int,
    Meta(
        ge=1,
        le=2**63 - 1,
        description="Given out by the service, increasing, never reused. JavaScript is exact up to 2^53 - 1 only.",
        examples=[1],
    ),
]
Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        pattern=VISIBLE,
        extra=REFUSAL,
        description="Full name, kept as sent.",
        examples=["Ananya"],
    ),
]
Department = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=VISIBLE,
        extra=REFUSAL,
        description="Department, kept as sent.",
        examples=["CSE"],
    ),
]
Cgpa = Annotated[float, Meta(ge=0, le=10, description="Cumulative grade point average, 0 to 10.", examples=[8.9])]
Timestamp = Annotated[
    str,
    Meta(
        description="RFC 3339 in UTC with six fraction digits.",
        examples=["2026-01-31T09:30:00.123456Z"],
        extra_json_schema={"format": "date-time"},
    ),
]
Count = Annotated[int, Meta(ge=0, examples=[1])]
Sort = Literal[
    "id", "-id", "name", "-name", "department", "-department", "cgpa", "-cgpa",
    "created_at", "-created_at", "updated_at", "-updated_at",
]  # fmt: skip


class Student(Struct, frozen=True):
    """A student's record."""

    id: Id
    name: Name
    department: Department
    cgpa: Cgpa
    created_at: Timestamp
    updated_at: Timestamp


class StudentCreate(Struct, forbid_unknown_fields=True):
    """A student to be created, or everything that may be replaced of one."""

    name: Name
    department: Department
    cgpa: Cgpa


class StudentRecord(StudentCreate, forbid_unknown_fields=True, kw_only=True):
    """A student in a file: one to be created, or one as exported, whose id and times are passed over."""

    id: Any = UNSET
    created_at: Any = UNSET
    updated_at: Any = UNSET


class StudentUpdate(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What is to change of a student; what is not sent stays."""

    name: Name | UnsetType = UNSET
    department: Department | UnsetType = UNSET
    cgpa: Cgpa | UnsetType = UNSET


class StudentPage(Struct, omit_defaults=True):
    """Some students, and where the next ones are."""

    items: Annotated[list[Student], Meta(max_length=100)]
    next_cursor: (
        Annotated[
            str,
            Meta(
                description="For `cursor` of the next page; absent on the last.",
                examples=["Cq0YkqcY2fTqZJLECAYYVhp3Kjakc2lkGA"],
            ),
        ]
        | UnsetType
    ) = UNSET
    total: (
        Annotated[
            int,
            Meta(
                ge=0,
                description="All students that the filters let through; with `count=true` only.",
                examples=[20000],
            ),
        ]
        | UnsetType
    ) = UNSET


StudentsCreate = Annotated[list[StudentCreate], Meta(min_length=1, max_length=1000)]


class StudentBatch(Struct):
    """The students that a batch created, in its order."""

    items: list[Student]


class DepartmentStatistics(Struct):
    """The grades of one department's students."""

    department: Department
    count: Annotated[int, Meta(ge=1, description="Students.", examples=[3])]
    mean: Annotated[float, Meta(ge=0, le=10, description="Mean of their cgpa, correctly rounded.", examples=[8.9])]
    min: Cgpa
    max: Cgpa
    histogram: Annotated[
        list[Count],
        Meta(
            min_length=10,
            max_length=10,
            description="How many have a cgpa of 0 to 1, 1 to 2 ... 9 to 10.",
            examples=[[0, 0, 0, 0, 0, 0, 0, 0, 3, 0]],
        ),
    ]


class StudentStatistics(Struct):
    """The departments in order of their names."""

    items: list[DepartmentStatistics]


class StudentFilters(Struct, forbid_unknown_fields=True, kw_only=True):
    department: Annotated[
        tuple[Department, ...], Meta(max_length=100, description="Only these departments; may be repeated.")
    ] = ()
    cgpa_min: Annotated[Cgpa, Meta(description="Only from this cgpa on.")] | UnsetType = UNSET
    cgpa_max: Annotated[Cgpa, Meta(description="Only up to this cgpa.")] | UnsetType = UNSET
    updated_after: (
        Annotated[
            dt.datetime,
            Meta(
                tz=True,
                description="Only what changed after this moment: RFC 3339 with a time zone.",
                examples=["2026-01-31T09:30:00Z"],
            ),
        ]
        | UnsetType
    ) = UNSET
    q: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=200,
                pattern=rf"^[^{_CONTROLS}]*\Z",
                extra={"refusal": "must hold no control characters"},
                description="Only names that have this part, whatever its case.",
                examples=["anan"],
            ),
        ]
        | UnsetType
    ) = UNSET


class StudentQuery(StudentFilters, kw_only=True):
    sort: Annotated[Sort, Meta(description="The order, of equal ones by id; `-` turns it all round.")] = "id"
    limit: Annotated[int, Meta(ge=1, le=100, description="How many at most.")] = 20
    cursor: (
        Annotated[str, Meta(min_length=1, max_length=4096, description="`next_cursor` of the page before.")] | UnsetType
    ) = UNSET
    count: Annotated[bool, Meta(description="Whether to count all that the filters let through, as `total`.")] = False


class StudentExport(StudentFilters, kw_only=True):
    sort: Annotated[Sort, Meta(description="The order; `-` turns it round.")] = "id"
    format: Annotated[
        Literal["csv", "jsonl"], Meta(description="CSV with a header line, or one JSON object a line.")
    ] = "csv"
