"""What is signed with SECRET_KEY, each purpose with a key of its own."""

import hashlib
import hmac

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NAME_LENGTH = 8
SIGNATURE_LENGTH = NAME_LENGTH + 64
"""Characters of a signature."""


class Signer:
    """Signs for one purpose with HMAC-SHA256, under a key that HKDF derives from a secret.

    A signature is text, and begins with a name of the key: whoever checks it can tell what was changed from what was
    signed before the secret was.
    """

    def __init__(self, secret: str, purpose: str) -> None:
        kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"registrar {purpose}".encode())
        key = kdf.derive(secret.encode())
        self.name = hashlib.sha256(key).hexdigest()[:NAME_LENGTH]
        self._begun = hmac.new(key, digestmod="sha256")

    def sign(self, content: bytes) -> str:
        mac = self._begun.copy()
        mac.update(content)
        return self.name + mac.hexdigest()

    def has_signed(self, signature: str, content: bytes) -> bool:
        return hmac.compare_digest(self.sign(content).encode(), signature.encode())
