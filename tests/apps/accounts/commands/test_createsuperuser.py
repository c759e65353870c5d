"""`manage.py createsuperuser`."""

import json
import pwd
import sys
from pathlib import Path

import pytest

from tests.apps.accounts.commands.conftest import Manage
from tests.terminals import terminal
from tests.trees import ROOT

PASSWORD = "correct horse battery"
USERS = ("dumpdata", "accounts")


def users(manage: Manage) -> dict[str, dict[str, object]]:
    """By name, what is kept of each."""
    lines = [json.loads(line) for line in manage(*USERS).stdout.splitlines()]
    return {line["fields"]["username"]: line["fields"] for line in lines if line["model"] == "accounts.user"}


class TestCreateSuperuser:
    def test_creates_an_admin_who_may_sign_in(self, manage_everywhere: Manage) -> None:
        manage_everywhere("migrate")
        result = manage_everywhere("createsuperuser", "--noinput", "--username", "Ananya", SUPERUSER_PASSWORD=PASSWORD)
        assert (result.exit_code, result.stdout) == (0, "Created the admin ananya.\n")
        (user,) = users(manage_everywhere).values()
        assert (user["username"], user["role"], user["is_active"]) == ("ananya", "admin", True)
        assert str(user["password"]).startswith("$argon2id$v=19$m=19456,t=2,p=1$")

    def test_creates_others_too(self, manage: Manage) -> None:
        manage("migrate")
        for role in ("viewer", "editor"):
            manage("createsuperuser", "--noinput", f"--username={role}1", f"--role={role}", SUPERUSER_PASSWORD=PASSWORD)
        assert {name: user["role"] for name, user in users(manage).items()} == {
            "viewer1": "viewer", "editor1": "editor"
        }  # fmt: skip

    def test_takes_the_username_from_the_environment(self, manage: Manage) -> None:
        manage("migrate")
        given = {"SUPERUSER_USERNAME": "ananya", "SUPERUSER_PASSWORD": PASSWORD}
        assert manage("createsuperuser", "--noinput", **given).exit_code == 0
        assert list(users(manage)) == ["ananya"]

    def test_asks_again_until_it_has_what_it_needs(self, manage: Manage) -> None:
        manage("migrate")
        answers = ["no spaces", "ananya", "short", "password", PASSWORD, "something else", PASSWORD, PASSWORD]
        result = manage("createsuperuser", input="\n".join([*answers, ""]))
        assert result.exit_code == 0, result.output
        assert list(users(manage)) == ["ananya"]
        assert result.stderr.splitlines() == [
            "The username must be letters and digits of ASCII, and after the first one also _ . @ + -. Try again.",
            "The password must have 8 to 128 characters. Try again.",
            "The password is too common: attackers try it first. Try again.",
            "The two passwords are not the same. Try again.",
        ]
        assert PASSWORD not in result.output

    def test_offers_no_name_where_nobody_has_one(self, manage: Manage, monkeypatch: pytest.MonkeyPatch) -> None:
        """As in containers that run with the number of a user who is not in /etc/passwd."""
        for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
        manage("migrate")
        result = manage("createsuperuser", input=f"ananya\n{PASSWORD}\n{PASSWORD}\n")
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("Username: ")
        assert list(users(manage)) == ["ananya"]

    def test_shows_no_password_at_a_terminal(self, tmp_path: Path, manage: Manage) -> None:
        manage("migrate")
        command = [sys.executable, "manage.py", "createsuperuser", "--username", "ananya"]
        with terminal(command, ROOT, {"DATABASE_URL": f"sqlite:///{tmp_path / 'registrar.sqlite3'}"}) as screen:
            shown = screen.until("Password: ")
            screen.type(f"{PASSWORD}\n")
            shown += screen.until("Password (again): ")
            screen.type(f"{PASSWORD}\n")
            shown += screen.rest()
        assert "Created the admin ananya." in shown
        assert PASSWORD not in shown

    @pytest.mark.parametrize(
        ("arguments", "password", "sentence"),
        [
            (["--username=ananya"], "", "With --noinput the username comes from --username or SUPERUSER_USERNAME"),
            ([], PASSWORD, "With --noinput the username comes from"),
            (["--username=ananya"], "short", "The password must have 8 to 128 characters."),
            (["--username=ananya"], "x" * 129, "The password must have 8 to 128 characters."),
            (["--username=ananya"], "Password1", "The password is too common"),
            (["--username=ananya.rao"], "ananya.rao-2026", "The password is too much like a name"),
            (["--username=-x"], PASSWORD, "The username must be letters and digits"),
            (["--username=é"], PASSWORD, "The username must be letters and digits"),
            ([f"--username={'x' * 151}"], PASSWORD, "The username must have at most 150 characters."),
        ],
    )
    def test_refuses_what_will_not_do(self, manage: Manage, arguments: list[str], password: str, sentence: str) -> None:
        manage("migrate")
        result = manage("createsuperuser", "--noinput", *arguments, SUPERUSER_PASSWORD=password)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"Error: {sentence}")
        assert users(manage) == {}

    def test_refuses_a_name_that_is_taken(self, manage: Manage) -> None:
        manage("migrate")
        manage("createsuperuser", "--noinput", "--username=ananya", SUPERUSER_PASSWORD=PASSWORD)
        again = manage("createsuperuser", "--noinput", "--username=ANANYA", SUPERUSER_PASSWORD=PASSWORD)
        assert (again.exit_code, again.stderr) == (1, "Error: There is a user ananya already.\n")

    def test_wants_the_tables_first(self, manage: Manage) -> None:
        result = manage("createsuperuser", "--noinput", "--username=ananya", SUPERUSER_PASSWORD=PASSWORD)
        assert result.exit_code == 1
        assert "`python manage.py migrate` first." in result.stderr
