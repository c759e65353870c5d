"""The command line, in this process, on a database where nothing is migrated yet."""

from litestar import Litestar
from litestar.testing import TestClient

from tests import tokens
from tests.project.commands.conftest import Manage, manage, manage_everywhere

__all__ = ["Manage", "add_user", "manage", "manage_everywhere", "sign_in"]


def add_user(manage: Manage, username: str, password: str, role: str = "admin") -> None:
    arguments = ("--noinput", f"--username={username}", f"--role={role}")
    result = manage("createsuperuser", *arguments, SUPERUSER_PASSWORD=password)
    assert result.exit_code == 0, result.output


def sign_in(client: TestClient[Litestar], username: str, password: str, address: str = "192.0.2.7") -> int:
    """The status of the answer."""
    client.headers["X-Forwarded-For"] = address
    return tokens.sign_in(client, username, password).status_code
