"""Passwords: which are good enough, and how they are kept."""

import asyncio
import base64
import unicodedata
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from project.problems import Unavailable

LEAST, MOST = 8, 128
"""Characters, once normalised."""
MOST_TYPED = 1024
"""Characters as they are typed. What is longer is no password, and not worth the time that it takes to normalise."""
MEMORY, PASSES, LANES = 19 * 1024, 2, 1
"""In KiB; what OWASP's Password Storage Cheat Sheet asks of Argon2id at least."""
THREADS = 1
"""How many passwords a worker hashes at once: each takes a processor for some 20 milliseconds."""
MOST_WAITING = 16
"""How many requests wait for that, before others are told to come back."""
SERVICE = "registrar"

_argon2 = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY, parallelism=LANES, hash_len=32, salt_len=16)


def normalised(password: str) -> str:
    """The same for all ways to type it: NIST SP 800-63B, section 5.1.1.2."""
    return unicodedata.normalize("NFKC", password)


def refusal(password: str, username: str = "") -> str | None:
    """Why a new password is not good enough, as the end of a sentence; None for one that is.

    NIST SP 800-63B: by its length, and by what attackers try first; not by the kinds of its characters.
    """
    text = normalised(password) if len(password) <= MOST_TYPED else ""
    if not LEAST <= len(text) <= MOST:
        return f"must have {LEAST} to {MOST} characters"
    folded = text.casefold()
    if folded in common() or len(set(folded)) < 3:
        return "is too common: attackers try it first"
    core = folded.strip("0123456789!?.,;:_-+*#$%&@ ")
    if core and core in (SERVICE, username.casefold(), username.casefold().partition("@")[0]):
        return "is too much like a name that attackers know"
    return None


@cache
def common() -> frozenset[str]:
    lines = (Path(__file__).parent / "common_passwords.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("# ") and line != "#")


def hashed(password: str) -> str:
    return _argon2.hash(normalised(password).encode(errors="surrogatepass"))


def is_right(kept: str | None, password: str) -> bool:
    """Takes as long where no password is kept."""
    typed = password if len(password) <= MOST_TYPED else ""
    try:
        return _argon2.verify(kept or _nobodys(), normalised(typed).encode(errors="surrogatepass"))
    except (Argon2Error, InvalidHashError):
        return False


def is_outdated(kept: str) -> bool:
    """Whether it was hashed with other parameters than passwords are now."""
    return _argon2.check_needs_rehash(kept)


@cache
def _nobodys() -> str:
    """What looks like a hash, of a password that nobody has."""
    salt, digest = (base64.b64encode(bytes(size)).decode().rstrip("=") for size in (16, 32))
    return f"$argon2id$v=19$m={MEMORY},t={PASSES},p={LANES}${salt}${digest}"


class Hashing:
    """Hashes and compares passwords in threads, some at once, while the event loop serves others."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
        self._turns = asyncio.Semaphore(THREADS)
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """To be held around the methods. Raises Unavailable where too many wait for theirs."""
        if self._waiting >= MOST_WAITING:
            raise Unavailable("Too many people are signing in at this moment.", headers={"Retry-After": "1"})
        self._waiting += 1
        try:
            async with self._turns:
                yield
        finally:
            self._waiting -= 1

    async def hashed(self, password: str) -> str:
        return await asyncio.get_running_loop().run_in_executor(self._threads, hashed, password)

    async def is_right(self, kept: str | None, password: str) -> bool:
        return await asyncio.get_running_loop().run_in_executor(self._threads, is_right, kept, password)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
