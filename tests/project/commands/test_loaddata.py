"""`manage.py loaddata`."""

import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.project.commands.conftest import Manage
from tests.rosters import as_csv, fields, students

MOMENT = "2026-01-31T09:30:00.123456Z"


def line(pk: Any, **changes: Any) -> str:
    values = {"name": "Ada", "department": "CSE", "cgpa": 1.5, "created_at": MOMENT, "updated_at": MOMENT, **changes}
    return json.dumps({"model": "students.student", "pk": pk, "fields": values})


def lines(*given: str) -> str:
    return "".join(each + "\n" for each in given)


def dumped(manage: Manage) -> list[dict[str, Any]]:
    result = manage("dumpdata")
    assert result.exit_code == 0
    return [json.loads(each) for each in result.stdout_bytes.decode().split("\n")[:-1]]


def refused(manage: Manage, text: str, *options: str) -> list[str]:
    """What loaddata says when it loads nothing."""
    before = dumped(manage)
    result = manage("loaddata", *options, "-", input=text)
    assert (result.exit_code, result.stdout) == (1, "")
    assert dumped(manage) == before
    said = result.stderr.splitlines()
    assert said[-1].startswith("Error: ")
    return said


CREATE = """
from apps.students.schemas import StudentCreate
student = await database.write(
    StudentService, lambda students: students.create(StudentCreate("Next", "CSE", 8.9))
)
print(student.id)
"""
SEARCH = """
from project.pagination import Cursors
page = await database.read(
    StudentService, lambda students: students.page(Cursors("x"), filters={"q": "%strasse%"})
)
print([student.id for student in page.items])
"""


class TestLoadDump:
    def test_brings_back_what_was_dumped(self, manage_everywhere: Manage) -> None:
        manage_everywhere("migrate")
        manage_everywhere("loaddata", "-", input=as_csv(students(1500)).decode())
        dump = manage_everywhere("dumpdata").stdout_bytes
        manage_everywhere("flush", "--noinput")
        result = manage_everywhere("loaddata", "-", input=dump.decode())
        assert (result.exit_code, result.stdout) == (0, "Loaded 1,500 of students.student\n")
        assert result.stderr == ""
        assert manage_everywhere("dumpdata").stdout_bytes == dump

    def test_makes_anew_what_is_derived(self, manage_everywhere: Manage) -> None:
        manage_everywhere("migrate")
        manage_everywhere("loaddata", "-", input=lines(line(7, name="Straße"), line(8, cgpa=-0.0)))
        assert manage_everywhere("shell", "-c", SEARCH).stdout == "[7]\n"
        assert str(dumped(manage_everywhere)[1]["fields"]["cgpa"]) == "0.0"

    def test_new_ids_are_higher_than_those_that_were_loaded(self, manage_everywhere: Manage) -> None:
        manage_everywhere("migrate")
        manage_everywhere("loaddata", "-", input=lines(line(5_000_000_000), line(12)))
        assert manage_everywhere("shell", "-c", CREATE).stdout == "5000000001\n"
        manage_everywhere("loaddata", "-", input=lines(line(13)))
        assert int(manage_everywhere("shell", "-c", CREATE).stdout) > 5_000_000_001

    def test_times_of_any_zone_are_moments(self, manage_everywhere: Manage) -> None:
        manage_everywhere("migrate")
        manage_everywhere("loaddata", "-", input=lines(line(1, created_at="2026-01-31T15:00:00.5+05:30")))
        assert dumped(manage_everywhere)[0]["fields"]["created_at"] == "2026-01-31T09:30:00.500000Z"

    def test_a_file_by_its_name(self, manage: Manage, tmp_path: Path) -> None:
        manage("migrate")
        (tmp_path / "dump").write_text("\ufeff" + lines(line(1), "", line(2)), newline="\r\n")
        assert manage("loaddata", str(tmp_path / "dump")).stdout == "Loaded 2 of students.student\n"

    def test_a_pipe_by_its_name(self, manage: Manage, tmp_path: Path) -> None:
        manage("migrate")
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        Thread(target=pipe.write_text, args=[lines(line(1), line(2))], daemon=True).start()
        assert manage("loaddata", str(pipe)).stdout == "Loaded 2 of students.student\n"

    def test_there_is_no_such_file(self, manage: Manage, tmp_path: Path) -> None:
        manage("migrate")
        assert manage("loaddata", str(tmp_path / "dump")).exit_code == 2
        assert manage("loaddata", str(tmp_path)).exit_code == 2

    def test_wants_a_migrated_database(self, manage: Manage) -> None:
        result = manage("loaddata", "-", input=lines(line(1)))
        assert result.exit_code == 1
        assert "migrate" in result.stderr


class TestKeysThatExist:
    def test_are_refused_and_nothing_is_loaded(self, manage_everywhere: Manage) -> None:
        manage_everywhere("migrate")
        manage_everywhere("loaddata", "-", input=lines(line(3), line(4)))
        rest = [line(number) for number in range(100, 2100)]
        said = refused(manage_everywhere, lines(*rest, line(3), line(4), line(5)))
        assert "students.student 3, 4 would be there twice" in said[-1]
        assert "--update" in said[-1]

    def test_are_replaced_with_update(self, manage_everywhere: Manage) -> None:
        manage_everywhere("migrate")
        manage_everywhere("loaddata", "-", input=lines(line(3), line(4)))
        text = lines(line(4, name="Straße", cgpa=9.0, updated_at="2027-01-01T00:00:00Z"), line(5))
        result = manage_everywhere("loaddata", "--update", "-", input=text)
        assert (result.exit_code, result.stdout) == (0, "Loaded 2 of students.student\n")
        found = dumped(manage_everywhere)
        assert [row["pk"] for row in found] == [3, 4, 5]
        assert found[1]["fields"] == {
            "name": "Straße",
            "department": "CSE",
            "cgpa": 9.0,
            "created_at": MOMENT,
            "updated_at": "2027-01-01T00:00:00.000000Z",
        }
        assert manage_everywhere("shell", "-c", SEARCH).stdout == "[4]\n"

    @pytest.mark.parametrize("between", [0, 2500])
    def test_may_not_stand_in_a_file_twice(self, manage: Manage, between: int) -> None:
        manage("migrate")
        rest = [line(number) for number in range(100, 100 + between)]
        said = refused(manage, lines(line(1), *rest, line(1, name="Bob")))
        assert "students.student 1 would be there twice" in said[-1]
        manage("loaddata", "--update", "-", input=lines(line(1), *rest, line(1, name="Bob")))
        assert dumped(manage)[0]["fields"]["name"] == "Bob"


class TestBadLines:
    @pytest.mark.parametrize(
        ("bad", "said"),
        [
            ("nonsense", "not well-formed JSON"),
            ("{", "ends before its JSON does"),
            ('{"model": "students.student"}', "/pk is required"),
            ('{"pk": 1, "fields": {}}', "/model is required"),
            ('{"model": 5}', "/model must be text"),
            ('{"model": "courses.course", "pk": 1, "fields": {}}', "/model is no model of the apps"),
            ('{"model": "students.student", "pk": 1, "fields": []}', "/fields must be an object"),
            (line(0), "/pk must be at least 1"),
            (line(2**63), "/pk "),
            (line("1"), "/pk must be a whole number"),
            (line(1, cgpa=11), "/fields/cgpa must be at most 10"),
            (line(1, cgpa="9"), "/fields/cgpa must be a number"),
            (line(1, name="a\0b"), "/fields/name "),
            (line(1, name="\ud800"), "malformed"),
            (line(1, name=""), "/fields/name must have at least 1 character"),
            (line(1, phone="1"), "/fields/phone is not known here"),
            (line(1, name_folded="ada"), "/fields/name_folded is not known here"),
            (line(1, created_at="2026-01-31T09:30:00"), "/fields/created_at must end with its time zone"),
            (line(1, created_at="yesterday"), "/fields/created_at must be a moment"),
            (line(1, created_at=None), "/fields/created_at "),
            (line(1).replace('"pk"', '"pk": 2, "pk"'), "/pk may be given only once"),
            (line(1).replace('"cgpa"', '"cgpa": 2, "cgpa"'), "/fields/cgpa may be given only once"),
            (line(1).replace("1.5", "NaN"), "not well-formed JSON"),
            (line(1).replace("1.5", "1e400"), "/fields/cgpa "),
        ],
    )
    def test_are_named_with_what_is_wrong(self, manage: Manage, bad: str, said: str) -> None:
        manage("migrate")
        (first, *_, last) = refused(manage, lines(line(90), line(91), bad, line(92)))
        assert first.startswith("line 3: ")
        assert said in first or said == "malformed"
        assert last == (
            "Error: 1 of 4 records cannot be loaded, so none was: mend them, or leave them out with --skip-invalid."
        )

    def test_are_all_named(self, manage: Manage) -> None:
        manage("migrate")
        said = refused(manage, lines(*(line(number, cgpa=-1) for number in range(1, 3001))))
        assert [each.partition(":")[0] for each in said[:-1]] == [f"line {number}" for number in range(1, 3001)]

    def test_can_be_left_out(self, manage: Manage) -> None:
        manage("migrate")
        result = manage("loaddata", "--skip-invalid", "-", input=lines(line(1), line(2, cgpa=11), line(3)))
        assert (result.exit_code, result.stdout) == (0, "Loaded 2 of students.student\n")
        assert result.stderr == "line 2: /fields/cgpa must be at most 10\n"
        assert [row["pk"] for row in dumped(manage)] == [1, 3]

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "is empty"),
            (b'[{"model": "students.student"}]', "a line of its own"),
            ("name,department,cgpa\nZoë,B,1\n".encode("latin-1"), "Line 2 is not UTF-8"),
            ("name,department,cgpa\nZoë,B,1\n".encode("utf-16"), "neither JSON Lines nor CSV"),
            (b"name,department,cgpa\rZoe,B,1\r", "has a carriage return outside quotes: lines end in LF or CRLF."),
            (b"x" * 200_000 + b",cgpa\nZoe,1\n", "The first line, which has to name the columns, has a field over"),
            (line(1).encode() + b"\n" + b'{"model": "' + b"x" * 10_000_000 + b'"}\n', "Line 2 is longer than 1024 KiB"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "neither JSON Lines nor CSV"),
            (b"SQLite format 3\0" + b"\0" * 84 + b"x" * 900, "not an SQLite database"),
        ],
    )
    def test_a_file_that_is_no_data_is_said_to_be_none(
        self, manage: Manage, tmp_path: Path, content: bytes, said: str
    ) -> None:
        manage("migrate")
        (tmp_path / "file").write_bytes(content)
        result = manage("loaddata", str(tmp_path / "file"))
        assert result.exit_code == 1
        assert said in result.stderr
        assert dumped(manage) == []


class TestLoadCSV:
    def test_creates_students_with_new_ids(self, manage_everywhere: Manage) -> None:
        manage_everywhere("migrate")
        sent = students(1200)
        result = manage_everywhere("loaddata", "-", input=as_csv(sent).decode())
        assert (result.exit_code, result.stdout) == (0, "Loaded 1,200 of students.student\n")
        found = dumped(manage_everywhere)
        assert [fields(row["fields"]) for row in found] == [fields(each) for each in sent]
        assert found[0]["fields"]["created_at"] == found[-1]["fields"]["updated_at"]

    def test_names_the_lines_that_no_import_takes(self, manage: Manage) -> None:
        manage("migrate")
        said = refused(manage, 'name,department,cgpa\n"A\nB",C,1\nD,E,2\nF,G,x\n')
        assert said[0].startswith("line 2: /name ")
        assert said[1] == "line 5: /cgpa must be a number, not text"

    def test_wants_the_columns(self, manage: Manage) -> None:
        manage("migrate")
        (said,) = refused(manage, "name,gpa\nA,1\n")
        assert "/gpa is no column here" in said
        assert "/department is missing" in said


TUTORIAL = "CREATE TABLE students (id INTEGER NOT NULL, name VARCHAR, department VARCHAR, cgpa FLOAT, PRIMARY KEY (id))"


class TestLoadDatabase:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "students.db"

    def make(self, file: Path, rows: Sequence[tuple[Any, ...]], *statements: str) -> None:
        with closing(sqlite3.connect(file)) as connection, connection:
            for statement in statements or (TUTORIAL,):
                connection.execute(statement)
            if rows:
                connection.executemany(f"INSERT INTO students VALUES ({','.join('?' * len(rows[0]))})", rows)

    def test_brings_the_tutorials_students_with_their_ids(self, manage_everywhere: Manage, file: Path) -> None:
        manage_everywhere("migrate")
        self.make(file, [(3, "Ananya", "CSE", 8.9), (7, "Zoë", "ECE", 10), (2500, "Straße", "CSE", 0.1)])
        before = file.read_bytes()
        result = manage_everywhere("loaddata", str(file))
        assert (result.exit_code, result.stdout) == (0, "Loaded 3 of students.student\n")
        found = dumped(manage_everywhere)
        assert [(row["pk"], row["fields"]["name"], row["fields"]["cgpa"]) for row in found] == [
            (3, "Ananya", 8.9),
            (7, "Zoë", 10.0),
            (2500, "Straße", 0.1),
        ]
        assert len({row["fields"]["created_at"] for row in found} | {row["fields"]["updated_at"] for row in found}) == 1
        assert manage_everywhere("shell", "-c", CREATE).stdout == "2501\n"
        assert file.read_bytes() == before
        assert list(file.parent.glob("students.db?*")) == []

    def test_lists_each_row_that_breaks_a_rule_with_its_id(self, manage: Manage, file: Path) -> None:
        manage("migrate")
        rows = [
            (1, "Ada", "CSE", 1.0),
            (2, None, "CSE", 11),
            (3, "a\0b", "", None),
            (4, b"\xff", "CSE", float("inf")),
            (5, "Bob", "CSE", "high"),
            (-6, "Bob", "CSE", 2.0),
            (2**63 - 1, "Last", "CSE", 2.0),
        ]
        self.make(file, rows)
        result = manage("loaddata", str(file))
        assert (result.exit_code, result.stdout) == (1, "")
        listed = [each.split()[:3] for each in result.stderr.splitlines()[:-1]]
        assert listed == [
            ["id", "-6:", "/id"],
            ["id", "2:", "/name"],
            ["id", "2:", "/cgpa"],
            ["id", "3:", "/name"],
            ["id", "3:", "/department"],
            ["id", "3:", "/cgpa"],
            ["id", "4:", "/name"],
            ["id", "4:", "/cgpa"],
            ["id", "5:", "/cgpa"],
        ]
        assert "5 of 7 records cannot be loaded" in result.stderr
        assert dumped(manage) == []
        result = manage("loaddata", "--skip-invalid", str(file))
        assert (result.exit_code, result.stdout) == (0, "Loaded 2 of students.student\n")
        assert [row["pk"] for row in dumped(manage)] == [1, 2**63 - 1]

    def test_brings_the_rows_of_another_registrar(self, manage: Manage, tmp_path: Path) -> None:
        manage("migrate")
        manage("loaddata", "-", input=lines(line(3, name="Straße"), line(9)))
        other = f"sqlite:///{tmp_path / 'other.sqlite3'}"
        manage("migrate", DATABASE_URL=other)
        result = manage("loaddata", str(tmp_path / "registrar.sqlite3"), DATABASE_URL=other)
        assert (result.exit_code, result.stderr) == (0, "")
        assert manage("dumpdata", DATABASE_URL=other).stdout == manage("dumpdata").stdout

    def test_says_which_tables_it_leaves_out(self, manage: Manage, file: Path) -> None:
        manage("migrate")
        self.make(file, [(1, "Ada", "CSE", 1.0)], TUTORIAL, "CREATE TABLE courses (id INTEGER PRIMARY KEY)")
        result = manage("loaddata", str(file))
        assert result.exit_code == 0
        assert "courses" in result.stderr

    @pytest.mark.parametrize(
        ("create", "said"),
        [
            ("CREATE TABLE pupils (id INTEGER PRIMARY KEY)", "none of the apps' tables"),
            ("CREATE TABLE students (id INTEGER PRIMARY KEY, name TEXT, cgpa REAL)", "lacks department"),
            ("CREATE TABLE students (id INTEGER PRIMARY KEY, name, department, cgpa, phone)", "no column for phone"),
        ],
    )
    def test_says_what_does_not_fit(self, manage: Manage, file: Path, create: str, said: str) -> None:
        manage("migrate")
        self.make(file, [], create)
        result = manage("loaddata", str(file))
        assert (result.exit_code, result.stdout) == (1, "")
        assert said in result.stderr
