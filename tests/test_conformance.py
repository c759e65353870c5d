"""The service held to its own description, on every engine: what it allows is answered, all else refused."""

import sys
from collections.abc import Callable
from pathlib import Path

from tests.commands import managed
from tests.people import PASSWORD, create_user
from tests.processes import ROOT, Service, running
from tests.tokens import PRODUCTION
from tests.toolchains import run

CONFORMANCE = ROOT / "tests" / "conformance"


def furnish(database_url: str) -> None:
    """A user."""
    managed(database_url, "migrate")
    create_user(database_url, "ada")


def compare(service: Service, folder: Path, *options: str) -> None:
    """Fails with all that is not as it is described, and how to see it again."""
    run(
        *(sys.executable, "-m", "schemathesis.cli", f"--config-file={CONFORMANCE / 'schemathesis.toml'}"),
        *("run", f"{service.url}/openapi.json", "--checks=all"),
        *("--phases=examples,coverage,fuzzing,stateful", *options),
        cwd=folder,
        PYTHONPATH=str(CONFORMANCE),
        CONFORMANCE_USERNAME="ada",
        CONFORMANCE_PASSWORD=PASSWORD,
    )
    assert [record for record in service.records if record["level"] == "error"] == []


class TestService:
    def test_does_what_its_description_says(self, database_url: str, tmp_path: Path) -> None:
        furnish(database_url)
        token = managed(database_url, "createtoken", "ada").strip()
        with running(database_url, **PRODUCTION) as service:
            compare(service, tmp_path, f"--header=Authorization: Bearer {token}")

    def test_lets_nobody_in_without_a_token_as_it_says(
        self, new_database: Callable[[str], str], tmp_path: Path
    ) -> None:
        url = new_database("sqlite")
        furnish(url)
        with running(url, **PRODUCTION) as service:
            compare(service, tmp_path, "--warnings=off")  # that all is refused is what they would be about
