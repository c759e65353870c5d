"""Commands on a database that the service has left, or is about to leave."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from project.transfer.protocol import Phase, Step
from tests.commands import manage, managed
from tests.processes import running
from tests.switches import Pair, phase

CREATE = """
from apps.students.schemas import StudentCreate
for name in ("Ananya", "Bilal", "Chen"):
    await database.write(StudentService, lambda students: students.create(StudentCreate(name, "CSE", 8.9)))
"""
COUNT = "print(await database.read(StudentService, lambda students: students.repository.count_where({})))"

TARGETS = {"sqlite": "postgresql", "postgresql": "mariadb", "mariadb": "sqlite", "mysql": "sqlite"}


@pytest.fixture
def pair(engine: str, new_database: Callable[[str], str]) -> Pair:
    found = Pair(new_database(engine), new_database(TARGETS[engine]))
    managed(found.old, "migrate")
    managed(found.old, "shell", "-c", CREATE)
    return found


def students(pair: Pair) -> int:
    return int(managed(pair.old, "shell", "-c", COUNT, **pair.named))


class TestCommand:
    def test_goes_where_the_service_has_gone(self, pair: Pair, tmp_path: Path) -> None:
        pair.move()
        managed(pair.old, "shell", "-c", CREATE, **pair.named)
        assert students(pair) == 6
        dumped = managed(pair.old, "dumpdata", "students", **pair.named).splitlines()
        assert len(dumped) == 6
        one = {**json.loads(dumped[0]), "pk": 77}
        (tmp_path / "one.jsonl").write_text(json.dumps(one) + "\n")
        managed(pair.old, "loaddata", str(tmp_path / "one.jsonl"), **pair.named)
        assert int(managed(pair.new, "shell", "-c", COUNT)) == 7
        assert "[ ]" not in managed(pair.old, "showmigrations", **pair.named)

    def test_works_while_the_rows_are_copied(self, pair: Pair) -> None:
        pair.move(last=Step.FENCE)
        assert phase(pair.old) is Phase.PREPARING
        managed(pair.old, "shell", "-c", CREATE, **pair.named)
        assert students(pair) == 6
        checked = manage(pair.old, "check", **pair.named)
        assert checked.exit_code == 1
        assert "`switchdb --resume` or `--abort`" in checked.stdout
        managed(pair.old, "switchdb", "--resume", **pair.named)
        assert students(pair) == 6

    @pytest.mark.parametrize("command", ["migrate", "flush"])
    def test_that_could_spoil_a_switch_waits_for_its_end(self, pair: Pair, command: str) -> None:
        arguments = {"migrate": ("migrate", "zero"), "flush": ("flush", "--noinput")}[command]
        for last in Step.COPY, Step.OPEN:
            pair.move(last)
            result = manage(pair.old, *arguments, **pair.named)
            assert result.exit_code == 1
            assert "is under way" in result.stderr
            assert "`switchdb --resume`" in result.stderr
            managed(pair.old, "switchdb", *(["--abort"] if last is Step.COPY else ["--resume"]), **pair.named)
        assert students(pair) == 3

    @pytest.mark.engines("sqlite")
    def test_changes_no_table_while_there_is_a_way_back(self, pair: Pair) -> None:
        pair.move()
        result = manage(pair.old, "migrate", "zero", **pair.named)
        assert result.exit_code == 1
        assert "`switchdb --complete`" in result.stderr
        assert students(pair) == 3

    @pytest.mark.engines("sqlite")
    def test_without_a_way_there_says_what_to_set(self, pair: Pair) -> None:
        pair.move()
        for command in ("shell", "-c", COUNT), ("dumpdata",), ("migrate",), ("flush", "--noinput"), ("check",):
            result = manage(pair.old, *command)
            assert result.exit_code == 1
            assert "set DATABASE_URL_NEW to its URL" in result.output

    @pytest.mark.engines("sqlite")
    def test_tells_what_the_settings_do_not_say_yet(self, pair: Pair) -> None:
        pair.move()
        managed(pair.old, "switchdb", "--complete", **pair.named)
        checked = manage(pair.old, "check", **pair.named)
        assert checked.exit_code == 1
        assert checked.stdout.startswith("The service has moved from the database of DATABASE_URL to new:")
        assert managed(pair.new, "check", DATABASE_URL_OLD=pair.old) == "Nothing found.\n"

    @pytest.mark.engines("sqlite")
    def test_that_serves_says_where_the_service_has_moved(self, pair: Pair) -> None:
        pair.move()
        with running(pair.old, DATABASE_URL_NEW=pair.new) as service:
            assert service.output.startswith("The service has moved from the database of DATABASE_URL to new,")
            assert len(service.get("/students").json()["items"]) == 3
