"""Where requests may come from, and under which names the service answers."""

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from project.problems import Forbidden, HostNotAllowed, Problem
from project.settings import Settings

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+?)\.?(?::\d{0,5})?")


class Hosts:
    """Lets in what asks for a name of ours.

    With DEBUG, where nobody has to say who they are, only what reaches the service over loopback, under loopback's own
    names, and what nobody passed on: otherwise a web page whose name an attacker lets point at this machine, or a
    tunnel to it, could use the API in the developer's place.
    """

    def __init__(self, settings: Settings) -> None:
        self._debug = settings.debug
        self._names = tuple(host.lower().strip("[]") for host in settings.allowed_hosts)
        self._answers_under = lru_cache(256)(self._is_name_of_ours)

    def refusal(self, server: tuple[str, int | None] | None, headers: Mapping[bytes, bytes]) -> Problem | None:
        """Why a request is not let in; `server` is the address, or the path of a socket, that it came in by."""
        if self._debug and server is not None and server[1] is not None and not is_loopback(server[0]):
            return Forbidden("With DEBUG=true the service answers requests of this machine only.")
        if not self._answers_under(headers.get(b"host", b"")):
            return HostNotAllowed(
                "With DEBUG=true the service answers under localhost and 127.0.0.1 only."
                if self._debug
                else "ALLOWED_HOSTS does not have the host that the request names."
            )
        if self._debug and (b"via" in headers or b"forwarded" in headers or b"x-forwarded-" in b"\n".join(headers)):
            return Forbidden("With DEBUG=true the service takes no requests that a proxy passes on.")
        return None

    def _is_name_of_ours(self, header: bytes) -> bool:
        text = header.decode("latin-1").lower()
        matched = _HOST.fullmatch(text)
        if matched is None or not _is_in_range(text):
            return False
        host = matched[1].strip("[]")
        if self._debug:
            return is_here(host)
        return any(name in ("*", host) or (name.startswith(".") and f".{host}".endswith(name)) for name in self._names)


def _is_in_range(authority: str) -> bool:
    """Whether port and address have numbers that there are."""
    try:
        _ = urlsplit(f"//{authority}").port
    except ValueError:
        return False
    return True


def is_here(host: str) -> bool:
    """Whether a name or an address is this machine, wherever it is used."""
    return host == "localhost" or host.endswith(".localhost") or is_loopback(host)


@lru_cache(256)
def is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
