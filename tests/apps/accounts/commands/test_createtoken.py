"""`manage.py createtoken`."""

import re

import pytest

from tests.apps.accounts.commands.conftest import Manage, add_user
from tests.clients import serving
from tests.tokens import bearer, production

PASSWORD = "correct horse battery"


class TestCreateToken:
    def test_prints_a_token_that_works(self, manage_everywhere: Manage, database_url: str) -> None:
        manage_everywhere("migrate")
        add_user(manage_everywhere, "ananya", PASSWORD)
        result = manage_everywhere("createtoken", "Ananya", "--name=cron", "--role=viewer", "--days=7")
        assert result.exit_code == 0
        assert re.fullmatch(r"registrar_[\w-]{32}\n", result.stdout)
        assert re.fullmatch(r"Token \d+, viewer, holds until \S+Z:\n", result.stderr)
        with serving(production(database_url)) as client:
            headers = bearer(result.stdout.strip())
            assert client.get("/auth/me", headers=headers).json()["role"] == "viewer"
            assert [token["name"] for token in client.get("/auth/tokens", headers=headers).json()["items"]] == ["cron"]

    @pytest.mark.parametrize(
        ("arguments", "code", "sentence"),
        [
            (["nobody"], 1, "There is no user nobody."),
            (["reader", "--role=editor"], 1, "reader has the role viewer: the token's may be no higher."),
            (["reader", "--name="], 1, "The name must have at least 1 character."),
            (["reader", "--days=0"], 2, "0 is not in the range 1<=x<=366."),
            (["reader", "--role=owner"], 2, "'owner' is not one of 'viewer', 'editor', 'admin'."),
        ],
    )
    def test_refuses_what_will_not_do(self, manage: Manage, arguments: list[str], code: int, sentence: str) -> None:
        manage("migrate")
        add_user(manage, "reader", PASSWORD, "viewer")
        result = manage("createtoken", *arguments)
        assert result.exit_code == code
        assert sentence in result.stderr
        assert result.stdout == ""
