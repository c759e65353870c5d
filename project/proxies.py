"""Who the client is where requests come through proxies: what those say that are trusted, and nobody else."""

import ipaddress
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from project.settings import UNIX, Settings

Headers = Sequence[tuple[bytes, bytes]]


class Client(NamedTuple):
    address: str | None
    """In its shortest form; None where it cannot be known, as behind a socket that is a file."""
    scheme: str | None
    """That the client used, where a proxy says so."""


class Proxies:
    """Those of TRUSTED_PROXIES. Each proxy writes whom it heard at the end of FORWARDED_HEADER; what stands before the
    last one that is trusted, a client may have made up.
    """

    def __init__(self, settings: Settings) -> None:
        self._networks = [ipaddress.ip_network(each) for each in settings.trusted_proxies if each != UNIX]
        self._trusts_files = UNIX in settings.trusted_proxies
        self._header = settings.forwarded_header.encode()
        self._is_trusted = lru_cache(4096)(self._is_one_of_ours)

    def client(self, peer: tuple[str, int] | None, headers: Headers) -> Client:
        """`peer` is the other end of the connection, None for a socket that is a file."""
        address = None if peer is None else shortest(peer[0])
        if not (self._trusts_files if address is None else self._is_trusted(address)):
            return Client(address, None)
        hops = list(_forwarded(headers) if self._header == b"forwarded" else _x_forwarded(headers))
        scheme = None
        for hop in reversed(hops):
            scheme = hop.scheme or scheme
            if hop.address is None:
                break
            address = hop.address
            if not self._is_trusted(address):
                break
        return Client(address, scheme)

    def _is_one_of_ours(self, address: str) -> bool:
        parsed = ipaddress.ip_address(address)
        return any(parsed in network for network in self._networks)


@lru_cache(4096)
def shortest(address: str) -> str | None:
    """An address as it is written shortest, without its zone; IPv4 within IPv6 as IPv4. None for what is no address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


def _x_forwarded(headers: Headers) -> Iterator[Client]:
    schemes = _values(headers, b"x-forwarded-proto")
    scheme = schemes[-1].strip().lower() if schemes else None
    for value in _values(headers, b"x-forwarded-for"):
        yield Client(_node(value), scheme if scheme in ("http", "https") else None)


def _forwarded(headers: Headers) -> Iterator[Client]:
    """RFC 7239, whose quoted values hold no commas or semicolons where they are addresses."""
    for value in _values(headers, b"forwarded"):
        pairs = (pair.strip().partition("=") for pair in value.split(";"))
        found = {name.lower(): text.strip('"') for name, _, text in pairs}
        scheme = found.get("proto", "").lower()
        yield Client(_node(found.get("for", "")), scheme if scheme in ("http", "https") else None)


def _values(headers: Headers, name: bytes) -> list[str]:
    """The members of a list that may be spread over several fields."""
    return [part for key, value in headers if key == name for part in value.decode("latin-1").split(",")]


def _node(text: str) -> str | None:
    """An address that may have a port: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1]:80."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    return shortest(text)
