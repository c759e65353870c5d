"""Temporary files: what has to wait, for a slow client or for the database, waits on disk and holds nothing up."""

import asyncio
import errno
import hashlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

from project.database.errors import Full

PIECE = 256 * 1024
"""Bytes that are read or written at once: what a thread takes a moment for, and a thousand of which fit in memory."""

NO_ROOM_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_ROOM = "There is no room left for temporary files: make some where TMPDIR points to, or point it elsewhere."


@contextmanager
def spool() -> Iterator[BinaryIO]:
    """A file without a name, gone when it is closed. Raises Full, also for what is written to it inside."""
    try:
        with tempfile.TemporaryFile() as file:
            yield file
    except OSError as error:
        if error.errno in NO_ROOM_ERRORS:
            raise Full(NO_ROOM) from error
        raise


async def receive(pieces: AsyncIterator[bytes], file: BinaryIO) -> bytes:
    """Write all that comes to the file and rewind it. Gives back a digest of it."""
    digest = hashlib.blake2b(digest_size=32)
    gathered = bytearray()
    async for piece in pieces:
        gathered += piece
        if len(gathered) >= PIECE:
            digest.update(gathered)
            await asyncio.to_thread(file.write, gathered)
            gathered = bytearray()
    digest.update(gathered)
    file.write(gathered)
    file.seek(0)
    return digest.digest()


async def send(file: BinaryIO, held: ExitStack) -> AsyncIterator[bytes]:
    """The whole file, piece by piece. What is held is let go at the end, or when nobody listens any more."""
    with held:
        file.seek(0)
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece
