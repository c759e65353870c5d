"""Whose word on the client's address is taken."""

import pytest

from project.proxies import Client, Proxies
from project.settings import load

Headers = list[tuple[bytes, bytes]]


def client(peer: str | None, headers: Headers, trusted: str = "10.0.0.0/8, ::1", header: str = "") -> Client:
    proxies = Proxies(load({"TRUSTED_PROXIES": trusted, "FORWARDED_HEADER": header}))
    return proxies.client(None if peer is None else (peer, 4321), headers)


def x_forwarded(*values: str) -> Headers:
    return [(b"x-forwarded-for", value.encode()) for value in values]


def forwarded(*values: str) -> Headers:
    return [(b"forwarded", value.encode()) for value in values]


class TestPeer:
    @pytest.mark.parametrize(
        ("peer", "address"),
        [
            ("192.0.2.7", "192.0.2.7"),
            ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("fe80::1%eth0", "fe80::1"),
            (None, None),
            ("a host", None),
        ],
    )
    def test_is_the_client_where_no_proxy_is_trusted(self, peer: str | None, address: str | None) -> None:
        sent = [*x_forwarded("6.6.6.6"), *forwarded("for=6.6.6.6;proto=https"), (b"x-forwarded-proto", b"https")]
        assert client(peer, sent, trusted="") == Client(address, None)
        assert client(peer, sent) == Client(address, None)

    def test_is_the_client_where_a_trusted_proxy_names_none(self) -> None:
        assert client("10.0.0.1", []) == Client("10.0.0.1", None)

    def test_is_trusted_behind_a_file_only_if_that_is_said(self) -> None:
        assert client(None, x_forwarded("192.0.2.7"), trusted="unix") == Client("192.0.2.7", None)
        assert client(None, x_forwarded("192.0.2.7"), trusted="10.0.0.0/8") == Client(None, None)


class TestXForwardedFor:
    @pytest.mark.parametrize(
        ("values", "address"),
        [
            (["192.0.2.7"], "192.0.2.7"),
            (["6.6.6.6, 192.0.2.7"], "192.0.2.7"),
            (["6.6.6.6", "192.0.2.7"], "192.0.2.7"),
            (["6.6.6.6, 192.0.2.7, 10.0.0.2 , 10.9.9.9"], "192.0.2.7"),
            (["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            (["192.0.2.7:55123"], "192.0.2.7"),
            (["[2001:DB8::1]:443"], "2001:db8::1"),
            (["2001:db8::1"], "2001:db8::1"),
            (["::ffff:192.0.2.7"], "192.0.2.7"),
            (["192.0.2.7, nonsense"], "10.0.0.1"),
            (["192.0.2.7, nonsense, 10.0.0.2"], "10.0.0.2"),
            (["192.0.2.7,"], "10.0.0.1"),
            ([""], "10.0.0.1"),
        ],
    )
    def test_is_believed_from_the_end_as_far_as_proxies_are_trusted(self, values: list[str], address: str) -> None:
        assert client("10.0.0.1", x_forwarded(*values)).address == address

    def test_comes_with_the_scheme(self) -> None:
        for sent, scheme in ((b"https", "https"), (b"http", "http"), (b"gopher", None), (b"http, https", "https")):
            headers = [*x_forwarded("192.0.2.7"), (b"x-forwarded-proto", sent)]
            assert client("10.0.0.1", headers) == Client("192.0.2.7", scheme)

    def test_is_all_that_is_believed(self) -> None:
        """A client may send the other header, and the proxy pass it on."""
        assert client("10.0.0.1", forwarded("for=6.6.6.6;proto=https")) == Client("10.0.0.1", None)


class TestForwarded:
    @pytest.mark.parametrize(
        ("values", "found"),
        [
            (["for=192.0.2.7"], Client("192.0.2.7", None)),
            (['For="[2001:DB8::1]:4711";Proto=HTTPS;by=10.0.0.1'], Client("2001:db8::1", "https")),
            (["for=6.6.6.6;proto=https, for=192.0.2.7;proto=http"], Client("192.0.2.7", "http")),
            (["for=192.0.2.7;proto=https, for=10.0.0.2;proto=http"], Client("192.0.2.7", "https")),
            (["for=192.0.2.7;proto=https", "for=10.0.0.2"], Client("192.0.2.7", "https")),
            (["for=unknown"], Client("10.0.0.1", None)),
            (["for=_hidden, for=10.0.0.2"], Client("10.0.0.2", None)),
            (["proto=https"], Client("10.0.0.1", "https")),
            (["nonsense"], Client("10.0.0.1", None)),
        ],
    )
    def test_is_believed_where_it_is_chosen(self, values: list[str], found: Client) -> None:
        assert client("10.0.0.1", forwarded(*values), header="Forwarded") == found

    def test_is_all_that_is_believed(self) -> None:
        headers = [*x_forwarded("6.6.6.6"), (b"x-forwarded-proto", b"https")]
        assert client("10.0.0.1", headers, header="forwarded") == Client("10.0.0.1", None)
