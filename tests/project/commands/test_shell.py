"""`manage.py shell`."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.project.commands.conftest import Manage
from tests.terminals import SECONDS, terminal
from tests.trees import ROOT

ADD = """
import datetime as dt
now = dt.datetime.now(dt.UTC)
session.add(Student(name="Ananya", department="CSE", cgpa=8.9, created_at=now, updated_at=now))
await session.flush()
"""
COUNT = "print(await database.read(StudentService, lambda students: students.repository.count_where({})))"


class TestShell:
    def test_has_settings_models_services_and_database_at_hand(self, manage: Manage, tmp_path: Path) -> None:
        result = manage(
            "shell", "-c", "print(settings.database_url, Student.__tablename__, StudentService, database.url)"
        )
        assert result.exit_code == 0
        assert f"{tmp_path}/registrar.sqlite3 students <class 'apps.students" in result.stdout

    def test_session_keeps_what_is_committed_only(self, manage_everywhere: Manage) -> None:
        manage_everywhere("migrate")
        assert manage_everywhere("shell", "-c", f"{ADD}\nawait session.rollback()\n{COUNT}").stdout == "0\n"
        assert manage_everywhere("shell", "-c", ADD).exit_code == 0
        assert manage_everywhere("shell", "-c", f"{ADD}\nawait session.commit()\n{COUNT}").stdout == "1\n"

    def test_runs_what_standard_input_holds(self, manage: Manage) -> None:
        result = manage("shell", input="for number in range(3):\n    print(number)\n\nprint('done')\n")
        assert result.exit_code == 0
        assert result.stdout == "0\n1\n2\ndone\n"

    def test_takes_what_standard_input_holds_for_utf_8(self, tmp_path: Path) -> None:
        settings = {"DATABASE_URL": f"sqlite:///{tmp_path}/registrar.sqlite3", "PYTHONUTF8": "1"}
        for source, code, said in (
            (b"print('Stra\xc3\x9fe')", 0, ""),
            (b"# coding: latin-1\nprint('Stra\xdfe')", 0, ""),
            (b"print('Stra\xdfe')", 1, "SyntaxError: "),
        ):
            done = subprocess.run(
                [sys.executable, "manage.py", "shell"],
                cwd=ROOT, env={**os.environ, **settings}, input=source, capture_output=True, check=False,
            )  # fmt: skip
            assert done.returncode == code
            assert done.stdout.decode() == ("" if code else "Straße\n")
            assert said in done.stderr.decode()
            assert "Traceback" not in done.stderr.decode()

    def test_fails_as_its_code_does_and_shows_that_code_only(self, manage: Manage) -> None:
        result = manage("shell", "-c", "def divide():\n    return 1 / 0\n\ndivide()")
        assert result.exit_code == 1
        assert "ZeroDivisionError" in result.stderr
        assert "line 2, in divide" in result.stderr
        assert "click" not in result.stderr
        assert manage("shell", "-c", "print(").exit_code == 1

    def test_exits_as_its_code_says(self, manage: Manage) -> None:
        assert manage("shell", "-c", "raise SystemExit(7)").exit_code == 7

    def test_awaits_at_the_prompt_of_a_terminal(self, tmp_path: Path) -> None:
        command = [sys.executable, "manage.py", "shell"]
        with terminal(command, ROOT, {"DATABASE_URL": f"sqlite:///{tmp_path}/registrar.sqlite3"}) as screen:
            shown = screen.until(">>> ")
            assert "Student" in shown
            assert "session" in shown
            screen.type("import asyncio\n")
            screen.until(">>> ")
            screen.type("await asyncio.sleep(0, 6 * 7)\n")
            assert "\r\n42\r\n" in screen.until(">>> ")
            screen.type("1 / 0\n")
            assert "ZeroDivisionError" in screen.until(">>> ")
            screen.type("print('waiting'); await asyncio.Event().wait()\n")
            screen.until("\r\nwaiting\r\n")
            screen.process.send_signal(signal.SIGINT)
            assert "KeyboardInterrupt" in screen.until(">>> ")
            screen.type("print('still here')\n")
            assert "\r\nstill here\r\n" in screen.until(">>> ")
            screen.type("\x04")
            assert screen.process.wait(SECONDS) == 0
