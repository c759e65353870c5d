"""Pages that cost the same at any depth: a cursor holds the place of the last row, not a number of rows to skip."""

import base64
import hashlib
import hmac
from typing import Annotated, Any

import msgspec

SIGNATURE_BYTES = 10

Cursor = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


class InvalidCursor(Exception):
    """The text was not made by `Cursors.text`, or for another sort or other filters; the message says which."""


class Position(msgspec.Struct, frozen=True, array_like=True):
    """The place after one row of a sorted and filtered list."""

    query: bytes
    """A digest of the sort and the filters that the position belongs to."""
    values: tuple[Any, ...]


class Cursors:
    """Makes and reads cursors. Any process with the same secret key understands them, whatever its database."""

    def __init__(self, secret_key: str) -> None:
        self._key = hashlib.blake2b(secret_key.encode(), digest_size=32, person=b"cursor").digest()
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Position).decode

    def text(self, query: object, values: tuple[Any, ...]) -> str:
        payload = self._encode(Position(_digest(query), values))
        return base64.urlsafe_b64encode(self._signature(payload) + payload).rstrip(b"=").decode()

    def values(self, text: str, query: object) -> tuple[Any, ...]:
        try:
            data = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
            signature, payload = data[:SIGNATURE_BYTES], data[SIGNATURE_BYTES:]
            genuine = hmac.compare_digest(signature, self._signature(payload))
            position = self._decode(payload) if genuine else None
        except (ValueError, msgspec.MsgspecError):
            position = None
        if position is None:
            raise InvalidCursor("The cursor was not made by this service: start again without one.")
        if position.query != _digest(query):
            raise InvalidCursor(
                "The cursor belongs to another sort or other filters: keep them while you walk, or start without one."
            )
        return position.values

    def _signature(self, payload: bytes) -> bytes:
        return hashlib.blake2b(payload, key=self._key, digest_size=SIGNATURE_BYTES).digest()


def _digest(query: object) -> bytes:
    return hashlib.blake2b(msgspec.msgpack.encode(query), digest_size=8).digest()
