"""`manage.py dumpdata`."""

import json
import stat
from pathlib import Path

import pytest

from tests.project.commands.conftest import Manage
from tests.rosters import as_csv, fields, students


def fill(manage: Manage, count: int) -> None:
    assert manage("migrate").exit_code == 0
    assert manage("loaddata", "-", input=as_csv(students(count)).decode()).exit_code == 0


class TestDumpData:
    def test_writes_each_row_as_a_line_in_order_of_the_keys(self, manage_everywhere: Manage) -> None:
        fill(manage_everywhere, 1500)
        result = manage_everywhere("dumpdata")
        assert result.exit_code == 0
        assert result.stderr == ""
        lines = [json.loads(line) for line in result.stdout_bytes.decode().split("\n")[:-1]]
        assert all(list(line) == ["model", "pk", "fields"] for line in lines)
        assert {line["model"] for line in lines} == {"students.student"}
        assert [line["pk"] for line in lines] == sorted({line["pk"] for line in lines})
        assert [fields(line["fields"]) for line in lines] == [fields(student) for student in students(1500)]
        assert list(lines[0]["fields"]) == ["name", "department", "cgpa", "created_at", "updated_at"]
        assert lines[0]["fields"]["created_at"].endswith("Z")

    def test_leaves_out_what_is_not_of_an_app(self, manage: Manage) -> None:
        fill(manage, 1)
        assert manage("dumpdata").stdout.count("\n") == 1
        assert manage("dumpdata", "students").stdout == manage("dumpdata").stdout

    def test_writes_a_csv_that_an_import_takes(self, manage: Manage) -> None:
        fill(manage, 50)
        dumped = manage("dumpdata", "--format", "csv").stdout_bytes
        assert dumped.startswith(b"id,name,department,cgpa,created_at,updated_at\n1,")
        assert manage("loaddata", "-", input=dumped.decode()).exit_code == 0
        lines = manage("dumpdata").stdout_bytes.decode().split("\n")[:-1]
        assert [fields(json.loads(line)["fields"]) for line in lines] == [fields(each) for each in students(50) * 2]

    def test_nothing_in_the_database_is_nothing_in_the_file(self, manage: Manage) -> None:
        manage("migrate")
        assert manage("dumpdata").stdout == ""
        assert manage("dumpdata", "--format", "csv").stdout == "id,name,department,cgpa,created_at,updated_at\n"

    def test_output_is_replaced_as_a_whole_and_is_for_its_owner(self, manage: Manage, tmp_path: Path) -> None:
        fill(manage, 3)
        output = tmp_path / "dump.jsonl"
        output.write_text("before")
        result = manage("dumpdata", "--output", str(output))
        assert (result.exit_code, result.stdout) == (0, "")
        assert output.read_bytes() == manage("dumpdata").stdout_bytes
        assert stat.S_IMODE(output.stat().st_mode) == 0o600

    def test_a_dump_that_fails_leaves_the_output_as_it_was(self, manage: Manage, tmp_path: Path) -> None:
        output = tmp_path / "dump.jsonl"
        output.write_text("before")
        result = manage("dumpdata", "--output", str(output))
        assert result.exit_code == 1
        assert "migrate" in result.stderr
        assert output.read_text() == "before"
        assert [path.name for path in tmp_path.iterdir()] == ["dump.jsonl"]

    def test_says_where_it_cannot_write(self, manage: Manage, tmp_path: Path) -> None:
        fill(manage, 1)
        result = manage("dumpdata", "--output", str(tmp_path / "nowhere" / "dump.jsonl"))
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: ")
        assert "cannot be written" in result.stderr

    @pytest.mark.parametrize("arguments", [("nobody",), ("--format", "xml"), ("--output",), ("students", "nobody")])
    def test_refuses_what_there_is_not(self, manage: Manage, arguments: tuple[str, ...]) -> None:
        manage("migrate")
        assert manage("dumpdata", *arguments).exit_code == 2
