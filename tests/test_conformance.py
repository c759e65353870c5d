"""The service held to its own description, on every engine: what it allows is answered, all else refused."""

import sys
from pathlib import Path

from tests.processes import ROOT, running
from tests.toolchains import run

CONFORMANCE = ROOT / "tests" / "conformance"


class TestService:
    def test_does_what_its_description_says(self, database_url: str, tmp_path: Path) -> None:
        run(sys.executable, "manage.py", "migrate", cwd=ROOT, DATABASE_URL=database_url)
        with running(database_url, LOG_LEVEL="WARNING") as service:
            run(
                *(sys.executable, "-m", "schemathesis.cli", f"--config-file={CONFORMANCE / 'schemathesis.toml'}"),
                *("run", f"{service.url}/openapi.json", "--checks=all"),
                "--phases=examples,coverage,fuzzing,stateful",
                cwd=tmp_path,
                PYTHONPATH=str(CONFORMANCE),
            )
            assert [record for record in service.records if record["level"] == "error"] == []
