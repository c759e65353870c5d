"""`manage.py changepassword`."""

import datetime as dt
import os

import sqlalchemy as sa

from project.throttling import LONGEST_WAIT, Throttle
from tests.apps.accounts.commands.conftest import Manage, add_user, sign_in
from tests.clients import Client, serving
from tests.tokens import production
from tests.units import Desk

PASSWORD, OTHER = "correct horse battery", "staple of another sort"


def make_waits_long(client: Client, but_of: int = -1) -> None:
    """All of them, but those after so many guesses: longer than this test takes."""

    async def work(desk: Desk) -> None:
        moment = dt.datetime.now(dt.UTC) + LONGEST_WAIT
        await desk.change(sa.update(Throttle).where(Throttle.count != but_of).values(free_at=moment))

    client.blocking_portal.call(client.app.state.database.write, Desk, work)


class TestChangePassword:
    def test_replaces_the_password(self, manage_everywhere: Manage, database_url: str) -> None:
        manage_everywhere("migrate")
        add_user(manage_everywhere, "ananya", PASSWORD)
        result = manage_everywhere("changepassword", "ananya", input=f"{OTHER}\n{OTHER}\n")
        assert result.exit_code == 0
        assert "The password of ananya is changed" in result.stdout
        assert OTHER not in result.output
        with serving(production(database_url)) as client:
            assert sign_in(client, "ananya", PASSWORD) == 401
            assert sign_in(client, "ananya", OTHER) == 201

    def test_ends_the_wait_after_the_guesses_of_strangers(self, manage_everywhere: Manage, database_url: str) -> None:
        manage_everywhere("migrate")
        add_user(manage_everywhere, "ananya", PASSWORD)
        settings = production(database_url, TRUSTED_PROXIES="unix")
        with serving(settings) as client:
            while sign_in(client, "ananya", "a guess", "192.0.2.1") != 429:
                pass
            assert sign_in(client, "ananya", PASSWORD, "192.0.2.2") == 429
            given = {"SUPERUSER_PASSWORD": OTHER, "SECRET_KEY": settings.secret_key}
            assert manage_everywhere("changepassword", "--noinput", "Ananya", **given).exit_code == 0
            assert sign_in(client, "ananya", OTHER, "192.0.2.2") == 201

    def test_ends_the_wait_after_the_own_guesses_of_the_owner(
        self, manage_everywhere: Manage, database_url: str
    ) -> None:
        manage_everywhere("migrate")
        add_user(manage_everywhere, "ananya", PASSWORD)
        add_user(manage_everywhere, "bilal", PASSWORD)
        settings = production(database_url, TRUSTED_PROXIES="unix")
        with serving(settings) as client:
            for username, address in (("ananya", "192.0.2.1"), ("ananya", "192.0.2.2"), ("bilal", "192.0.2.3")):
                assert sign_in(client, username, PASSWORD, address) == 201
                while sign_in(client, username, "a guess", address) != 429:
                    pass
            make_waits_long(client)
            given = {"SUPERUSER_PASSWORD": OTHER, "SECRET_KEY": settings.secret_key}
            assert manage_everywhere("changepassword", "--noinput", "ananya", **given).exit_code == 0
            assert sign_in(client, "bilal", PASSWORD, "192.0.2.3") == 429
            assert sign_in(client, "ananya", OTHER, "192.0.2.1") == 201
            while sign_in(client, "ananya", "a guess", "192.0.2.9") != 429:
                pass
            make_waits_long(client, but_of=0)
            assert sign_in(client, "ananya", OTHER, "192.0.2.9") == 429
            assert sign_in(client, "ananya", OTHER, "192.0.2.2") == 201  # it is known still

    def test_refuses_what_will_not_do(self, manage: Manage) -> None:
        manage("migrate")
        add_user(manage, "ananya", PASSWORD)
        for password in ("", "short", "12345678", "Ananya123"):
            result = manage("changepassword", "--noinput", "ananya", SUPERUSER_PASSWORD=password)
            assert result.exit_code == 1
            assert result.stderr.startswith("Error: The password ")
        mangled = manage("changepassword", "--noinput", "ananya", SUPERUSER_PASSWORD=os.fsdecode(b"\xff" * 8))
        assert mangled.stderr == "Error: SUPERUSER_PASSWORD is not UTF-8: set it to text in UTF-8.\n"
        nobody = manage("changepassword", "--noinput", "nobody", SUPERUSER_PASSWORD=OTHER)
        assert (nobody.exit_code, nobody.stderr) == (1, "Error: There is no user nobody.\n")
