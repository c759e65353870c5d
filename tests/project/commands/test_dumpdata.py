"""`manage.py dumpdata`."""

import json
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.project.commands.conftest import Manage
from tests.rosters import as_csv, fields, students
from tests.trees import ROOT


def fill(manage: Manage, count: int) -> None:
    assert manage("migrate").exit_code == 0
    assert manage("loaddata", "-", input=as_csv(students(count)).decode()).exit_code == 0


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a full disk, but for this process alone."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


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

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ((), "There is no room left for temporary files: make some where TMPDIR points to, or point it elsewhere."),
            (("--output", "{folder}/dump.jsonl"), "{folder}/dump.jsonl cannot be written: File too large."),
        ],
    )
    def test_says_which_disk_is_full(
        self, manage_everywhere: Manage, tmp_path: Path, options: tuple[str, ...], said: str
    ) -> None:
        fill(manage_everywhere, 1500)
        with files_of_at_most(64 * 1024):
            result = manage_everywhere("dumpdata", *(option.format(folder=tmp_path) for option in options))
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == f"Error: {said.format(folder=tmp_path)}\n"

    def test_says_that_standard_output_is_full(self, manage: Manage, tmp_path: Path) -> None:
        for count in (1, 1500):  # less than its buffer takes, and more
            fill(manage, count)
            with Path("/dev/full").open("wb") as full:
                done = subprocess.run(
                    [sys.executable, "manage.py", "dumpdata"],
                    cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
                    env={
                        **os.environ,
                        "DATABASE_URL": f"sqlite:///{tmp_path}/registrar.sqlite3",
                        "PYTHONUNBUFFERED": "",
                    },
                )  # fmt: skip
            said = "Error: Standard output cannot be written: No space left on device.\n"
            assert (done.returncode, done.stderr) == (1, said)

    @pytest.mark.parametrize("arguments", [("nobody",), ("--format", "xml"), ("--output",), ("students", "nobody")])
    def test_refuses_what_there_is_not(self, manage: Manage, arguments: tuple[str, ...]) -> None:
        manage("migrate")
        assert manage("dumpdata", *arguments).exit_code == 2
