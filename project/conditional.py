"""Conditional requests (RFC 9110, section 13): entity tags, and the conditions that clients put on them."""

import hashlib
import re
from typing import NamedTuple

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


class StalePrecondition(Exception):
    """The record is not, or is no longer, what the client's If-Match or If-None-Match says."""


def etag(representation: bytes) -> str:
    """A strong entity tag: equal for equal representations, on every database and in every process."""
    return f'"{hashlib.blake2b(representation, digest_size=12).hexdigest()}"'


class Condition(NamedTuple):
    """The conditions of one request, as its headers give them."""

    if_match: str | None = None
    if_none_match: str | None = None

    def check(self, tag: str) -> None:
        """Raises StalePrecondition where the record with that tag is not to be changed."""
        if self.if_match is not None and not _names(self.if_match, tag, weak=False):
            raise StalePrecondition
        if self.if_none_match is not None and _names(self.if_none_match, tag, weak=True):
            raise StalePrecondition

    def is_fresh(self, tag: str) -> bool:
        """Whether the reader has what that tag stands for. Raises StalePrecondition where If-Match wants another."""
        if self.if_match is not None and not _names(self.if_match, tag, weak=False):
            raise StalePrecondition
        return self.if_none_match is not None and _names(self.if_none_match, tag, weak=True)


ANY = Condition()


def _names(header: str, tag: str, *, weak: bool) -> bool:
    if header.strip() == "*":
        return True
    tags = _TAG.findall(header)
    return tag in tags or (weak and f"W/{tag}" in tags)
