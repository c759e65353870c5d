"""What is written beside what a generator writes."""

import json
import shutil
from pathlib import Path
from typing import Any

from project.clients.api import Api
from project.clients.errors import ClientError
from project.settings import BASE_DIR

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, api: Api, **more: Any) -> str:
    """A template that is given the API. Raises ClientError where the engine is missing."""
    try:
        import jinja2
    except ModuleNotFoundError as error:
        raise ClientError("jinja2 is missing: install it with `uv sync --group clients`.") from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - it is Markdown and code
    )
    environment.filters |= {"python": repr, "json": json.dumps}
    return environment.get_template(f"{template}.jinja").render(api=api, **more)


def write_common(folder: Path) -> None:
    """The licence, where there is one."""
    if (BASE_DIR / "LICENSE").exists():
        shutil.copy(BASE_DIR / "LICENSE", folder)
