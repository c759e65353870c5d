"""Where requests may come from, and under which names the service answers."""

from collections.abc import Callable

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from project.asgi import create_app
from project.settings import load
from tests.problems import refused

Ask = Callable[..., int]


def client_with(address: str = "127.0.0.1", **variables: str) -> TestClient[Litestar]:
    """A client that reaches the service under that address of the machine."""
    app = create_app(load({"LOG_LEVEL": "ERROR", **variables}))
    return TestClient(app, base_url=f"http://{address}", raise_server_exceptions=False)


def production(allowed: str) -> dict[str, str]:
    return {"DEBUG": "false", "SECRET_KEY": "k" * 50, "ALLOWED_HOSTS": allowed}


class TestDebug:
    @pytest.mark.parametrize(
        "host",
        [
            "localhost",
            "LOCALHOST:8000",
            "localhost.",
            "127.0.0.1",
            "127.0.0.1:8000",
            "127.8.9.1",
            "[::1]",
            "[::1]:8000",
            "localhost:",
            "localhost:65535",
            "registrar.localhost:3000",
        ],
    )
    def test_answers_under_the_names_of_loopback(self, host: str) -> None:
        with client_with() as client:
            assert client.get("/health/live", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "localhost.evil.example",
            "evil-localhost",
            "127.0.0.1.evil.example",
            "192.168.1.4",
            "[::2]",
            "",
            "localhost:80:90",
            "localhost:port",
            "localhost:65536",
            "127.0.0.1:99999",
            "user@localhost",
            "localhost/",
            "[::1",
            "0.0.0.0",
            "2130706433",
        ],
    )
    def test_answers_under_no_other(self, host: str) -> None:
        with client_with(ALLOWED_HOSTS="evil.example, *") as client:
            refused(client.get("/students", headers={"Host": host}), 400, "bad-host")

    @pytest.mark.parametrize(
        "name", ["Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Anything"]
    )
    def test_takes_nothing_that_was_passed_on(self, name: str) -> None:
        with client_with() as client:
            refused(client.get("/students", headers={name: "1.2.3.4"}), 403, "forbidden")


class TestProduction:
    @pytest.mark.parametrize("host", ["school.example", "SCHOOL.example:443", "school.example.", "a.b.org", "b.org"])
    def test_answers_under_the_allowed_names(self, host: str) -> None:
        with client_with(**production("school.example, .b.org")) as client:
            assert client.get("/health/live", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "a.school.example", "evilb.org", "school.example@evil"])
    def test_answers_under_no_other(self, host: str) -> None:
        with client_with(**production("school.example, .b.org")) as client:
            refused(client.get("/students", headers={"Host": host}), 400, "bad-host")

    def test_answers_under_any_name_where_all_are_allowed(self) -> None:
        with client_with(**production("*")) as client:
            assert client.get("/health/live", headers={"Host": "any.example"}).status_code == 200
            for host in ("not a host", "any.example:65536", "[1]", "[::1]:70000"):
                refused(client.get("/nothing", headers={"Host": host}), 400, "bad-host")

    def test_takes_what_a_proxy_passes_on(self) -> None:
        with client_with(**production("school.example")) as client:
            headers = {"Host": "school.example", "X-Forwarded-For": "1.2.3.4", "Via": "1.1 proxy"}
            assert client.get("/health/live", headers=headers).status_code == 200


class TestAddress:
    def test_serves_nobody_who_comes_over_the_network_to_where_nobody_is_asked_who_they_are(self) -> None:
        """Whatever server runs the application, and wherever that listens."""
        with client_with("192.0.2.7") as client:
            refused(client.get("/students", headers={"Host": "localhost"}), 403, "forbidden")

    def test_asks_who_comes_over_the_network(self) -> None:
        with client_with("192.0.2.7", **production("*")) as client:
            assert client.get("/health/live").status_code == 200
            refused(client.get("/students"), 401, "unauthenticated")
