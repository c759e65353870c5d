"""Bytes that stay what they are while a process runs: tagged, and compressed once."""

import gzip
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from litestar import Request, Response

from project.conditional import Condition, etag

FOR_EVER = "public, max-age=31536000, immutable"
ASK_EACH_TIME = "no-cache"
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
"""What of a folder is served; the rest, such as licences, only lies there."""

_TAKES_GZIP = re.compile(r"(^|,)\s*gzip\s*(;\s*q=(?!0(\.0*)?\s*(,|$))[\d.]+\s*)?(,|$)", re.IGNORECASE)


class Asset:
    """Something to be served as it is."""

    def __init__(self, body: bytes, media_type: str) -> None:
        self.body = body
        self.media_type = media_type
        self.tag = etag(body)

    @cached_property
    def gzipped(self) -> bytes:
        return gzip.compress(self.body, mtime=0)

    def respond(
        self, request: Request[Any, Any, Any], cache_control: str, headers: Mapping[str, str] | None = None
    ) -> Response[bytes]:
        """All of it, or 304 to a client that has it. Compressing a large one takes long enough to want a thread."""
        compress = _TAKES_GZIP.search(request.headers.get("accept-encoding", "")) is not None
        tag = f'{self.tag[:-1]}-gzip"' if compress else self.tag
        given = {"ETag": tag, "Cache-Control": cache_control, "Vary": "Accept-Encoding", **(headers or {})}
        if Condition(None, request.headers.get("if-none-match")).is_fresh(tag):
            return Response(b"", status_code=304, headers=given, media_type=self.media_type)
        if compress:
            given["Content-Encoding"] = "gzip"
        return Response(self.gzipped if compress else self.body, headers=given, media_type=self.media_type)


class Folder:
    """The files of a folder under names that change with their content, so that browsers may keep them for ever."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def by_name(self) -> dict[str, Asset]:
        """The assets by the names under which they are served."""
        return {self.name(file): asset for file, asset in self._files.items()}

    def name(self, file: str) -> str:
        """Of a file of the folder, `docs.css`, the name under which it is served, `docs-4d5a....css`."""
        path, digest = Path(file), self._files[file].tag.strip('"')
        return f"{path.stem}-{digest}{path.suffix}"

    @cached_property
    def _files(self) -> dict[str, Asset]:
        return {
            file.relative_to(self._path).as_posix(): Asset(file.read_bytes(), MEDIA_TYPES[file.suffix])
            for file in sorted(self._path.rglob("*"))
            if file.suffix in MEDIA_TYPES
        }
