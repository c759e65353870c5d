"""Programs that use generated clients, against a real server: what types promise, the service keeps."""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import managed
from tests.people import PASSWORD, create_user
from tests.processes import Service, running
from tests.requirements import missing
from tests.tokens import PRODUCTION, token_of
from tests.toolchains import ARCHIVE, compile_typescript, openapi_generator, run

PROGRAMS = Path(__file__).parent / "programs"

JAKARTA = "package jakarta.annotation; public @interface {name} {{ {members} }}"
"""Annotations of Jakarta's that generated Java uses, and that the generator's own archive lacks."""


USER = ("ada", PASSWORD)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """On a database with one user, an admin; it asks everybody who they are."""
    url = f"sqlite:///{tmp_path / 'registrar.sqlite3'}"
    managed(url, "migrate")
    create_user(url, "ada")
    with running(url, **PRODUCTION) as service:
        yield service


@pytest.fixture
def token(service: Service) -> str:
    with service.client() as client:
        return token_of(client, "ada")["Authorization"].removeprefix("Bearer ")


def blocks(readme: Path, language: str, service: Service) -> str:
    """All examples of a README as one program, for a service elsewhere."""
    found = re.findall(rf"```{language}\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return "\n".join(found).replace("http://127.0.0.1:8000", service.url)


class TestPython:
    def check_and_run(self, client: Path, program: Path, *arguments: str, token: str = "") -> str:
        run(sys.executable, "-m", "mypy", "--strict", program, cwd=client)
        return run(sys.executable, "-W", "error", program, *arguments, PYTHONPATH=str(client), TOKEN=token)

    def test_client_is_typed_strictly(self, python_client: Path) -> None:
        run(sys.executable, "-m", "mypy", "--strict", "registrar_client", cwd=python_client)

    def test_program_does_all_that_the_service_does(self, python_client: Path, service: Service) -> None:
        assert self.check_and_run(python_client, PROGRAMS / "program.py", service.url, *USER) == "done\n"

    def test_readme_shows_what_works(self, python_client: Path, service: Service, token: str, tmp_path: Path) -> None:
        program = tmp_path / "readme.py"
        program.write_text(blocks(python_client / "README.md", "python", service), encoding="utf-8")
        printed = self.check_and_run(python_client, program, token=token)
        assert "still the same" in printed
        assert "ImportReport(created=1" in printed


class TestTypeScript:
    def check_and_run(self, client: Path, source: str, folder: Path, *arguments: str, token: str = "") -> str:
        (folder / "node_modules").mkdir()
        (folder / "node_modules" / "registrar-client").symlink_to(client)
        (folder / "package.json").write_text('{"type": "module"}')
        (folder / "program.ts").write_text(source, encoding="utf-8")
        compile_typescript(folder, "--target", "ES2023", "--module", "NodeNext", "program.ts")
        return run("node", folder / "program.js", *arguments, TOKEN=token)

    def test_program_does_all_that_the_service_does(
        self, typescript_client: Path, service: Service, tmp_path: Path
    ) -> None:
        source = (PROGRAMS / "program.ts").read_text(encoding="utf-8")
        assert self.check_and_run(typescript_client, source, tmp_path, service.url, *USER) == "done\n"

    def test_readme_shows_what_works(
        self, typescript_client: Path, service: Service, token: str, tmp_path: Path
    ) -> None:
        source = blocks(typescript_client / "README.md", "typescript", service)
        printed = self.check_and_run(typescript_client, source, tmp_path, token=token)
        assert "still the same" in printed
        assert "created: 1," in printed


class TestOpenApiGenerator:
    def test_typescript_fetch_serves_a_program(self, document: Path, service: Service, tmp_path: Path) -> None:
        openapi_generator("typescript-fetch", document, tmp_path / "client", importFileExtension=".js")
        (tmp_path / "package.json").write_text('{"type": "module"}')
        shutil.copy(PROGRAMS / "fetch.ts", tmp_path)
        compile_typescript(tmp_path, "--target", "ES2023", "--module", "NodeNext", "fetch.ts")
        assert run("node", tmp_path / "fetch.js", service.url, *USER) == "done\n"

    def test_java_serves_a_program(self, document: Path, service: Service, tmp_path: Path) -> None:
        if shutil.which("javac") is None:
            missing("A Java compiler", "apt-get install default-jdk-headless")
        client = tmp_path / "client"
        openapi_generator(
            "java", document, client, library="native", openApiNullable="false", useJakartaEe="true",
            invokerPackage="registrar", apiPackage="registrar.api", modelPackage="registrar.model",
        )  # fmt: skip
        annotations = tmp_path / "jakarta" / "annotation"
        annotations.mkdir(parents=True)
        for name in ("Generated", "Nullable", "Nonnull"):
            members = "String value(); String date(); String comments();" if name == "Generated" else ""
            (annotations / f"{name}.java").write_text(JAKARTA.format(name=name, members=members))
        sources = [PROGRAMS / "Program.java", *annotations.glob("*.java"), *(client / "src/main").rglob("*.java")]
        run("javac", "-nowarn", "-proc:none", "-d", tmp_path / "classes", "-cp", ARCHIVE, *sources)
        assert run("java", "-cp", f"{tmp_path / 'classes'}:{ARCHIVE}", "Program", service.url, *USER) == "done\n"
