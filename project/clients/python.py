"""Clients in Python, by openapi-python-client."""

import copy
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import msgspec

from project.clients.api import Api
from project.clients.errors import ClientError
from project.clients.rendering import render, write_common
from project.openapi.structs import Json

HERE = Path(__file__).parent / "templates" / "python"

BYTES = "application/octet-stream"

# What the templates of the generator say, and what they are to say instead. The version is pinned: a text that is not
# there is an error, for whoever raises the version to look at.
MENDS: dict[str, list[tuple[str, str]]] = {
    "endpoint_macros.py.jinja": [
        # Bodies that are streams of bytes were files on disk, and one with two media types always had the second.
        ('_kwargs["content"] = body.payload', '_kwargs["content"] = body'),
        (
            "{% if endpoint.bodies | length == 1 %}\nbody: {{",
            (
                '{% if endpoint.bodies and endpoint.bodies[0].body_type == "content" %}\n'
                "body: str | bytes | Iterable[bytes] | AsyncIterable[bytes],\n"
                "{% if endpoint.bodies | length > 1 %}\n"
                "content_type: Literal[{% for body in endpoint.bodies %}"
                '"{{ body.content_type | in_double_quote_literal }}", {% endfor %}] = '
                '"{{ endpoint.bodies[0].content_type | in_double_quote_literal }}",\n'
                "{% endif %}\n"
                "{% elif endpoint.bodies | length == 1 %}\nbody: {{"
            ),
        ),
        (
            "body=body,\n",
            (
                "body=body,\n"
                '{% if endpoint.bodies | length > 1 and endpoint.bodies[0].body_type == "content" %}\n'
                "content_type=content_type,\n"
                "{% endif %}\n"
            ),
        ),
    ],
    "endpoint_module.py.jinja": [
        (
            "import httpx\n",
            "import httpx\nfrom collections.abc import AsyncIterable, Iterable\nfrom typing import Literal\n",
        ),
        (
            "{% if endpoint.bodies | length > 1 %}\n",
            (
                '{% if endpoint.bodies | length > 1 and endpoint.bodies[0].body_type == "content" %}\n'
                '    _kwargs["content"] = body\n'
                '    headers["Content-Type"] = content_type\n'
                "{% elif endpoint.bodies | length > 1 %}\n"
            ),
        ),
    ],
}


def generate_python(api: Api, name: str, folder: Path, say: Callable[[str], None]) -> None:
    """Raises ClientError."""
    if find_spec("openapi_python_client") is None:
        raise ClientError("openapi-python-client is missing: install it with `uv sync --group clients`.")
    package = re.sub(r"\W", "_", name)
    if not package.isidentifier():
        raise ClientError(f"{name} is no name for a Python package: take one of letters, digits and -.")
    with tempfile.TemporaryDirectory(prefix="client-") as temporary:
        source, configuration, templates = (Path(temporary) / part for part in ("api.json", "config.json", "templates"))
        document, overrides = _with_bytes(api.document)
        source.write_bytes(msgspec.json.encode(document))
        configuration.write_bytes(msgspec.json.encode({"content_type_overrides": overrides, "post_hooks": []}))
        _mended_templates(templates)
        _run(
            *("openapi_python_client", "generate", "--meta=none", "--fail-on-warning"),
            *(f"--path={source}", f"--config={configuration}", f"--custom-template-path={templates}"),
            f"--output-path={folder / package}",
        )
    (folder / package / "py.typed").touch()
    shutil.copy(HERE / "retries.py-tpl", folder / package / "retries.py")
    for part in ("README.md", "pyproject.toml"):
        (folder / part).write_text(render(f"python/{part}", api, name=name, package=package), encoding="utf-8")
    write_common(folder)
    _run("ruff", "check", "--quiet", "--fix-only", "--select=F,I,UP", "--line-length=120", str(folder))
    _run("ruff", "format", "--quiet", "--line-length=120", str(folder))


def _with_bytes(document: Json) -> tuple[Json, dict[str, str]]:
    """The document with files as the generator takes them, and what else it has to be told of them.

    It can send bytes and JSON only, and knows one media type by one name, whichever way it goes: those of requests are
    told from those of answers by a parameter that says what is so anyway. An answer of text it can read as text.
    """
    document = copy.deepcopy(document)
    overrides = {}
    for item in document["paths"].values():
        for operation in item.values():
            content = operation.get("requestBody", {}).get("content", {})
            for media_type in [each for each, body in content.items() if body["schema"].get("type") == "string"]:
                named = f"{media_type}; charset=utf-8"
                content[named] = content.pop(media_type)
                overrides[named] = BYTES
            for response in operation["responses"].values():
                for media_type, body in response.get("content", {}).items():
                    if media_type.startswith("text/"):
                        body["schema"].pop("format", None)
    return document, overrides


def _mended_templates(folder: Path) -> None:
    import openapi_python_client

    shutil.copytree(Path(openapi_python_client.__file__).parent / "templates", folder)
    for name, mends in MENDS.items():
        text = (folder / name).read_text(encoding="utf-8")
        for old, new in mends:
            if old not in text:
                raise ClientError(f"{name} of openapi-python-client is not the one that is mended here: look at MENDS.")
            text = text.replace(old, new)
        (folder / name).write_text(text, encoding="utf-8")
    with (folder / "endpoint_module.py.jinja").open("a", encoding="utf-8") as file:
        file.write((HERE / "iterate.py.jinja").read_text(encoding="utf-8"))


def _run(module: str, *arguments: str) -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", module, *arguments], check=False, capture_output=True, text=True, encoding="utf-8"
    )
    if done.returncode:
        raise ClientError(f"{module} failed:\n{(done.stdout + done.stderr).strip()}")
