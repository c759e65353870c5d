"""A line to a database server that breaks where a test wants it to."""

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sqlalchemy import make_url

SSL_REQUEST = struct.pack(">ii", 8, 80877103)
"""With which a client of PostgreSQL asks for encryption: https://www.postgresql.org/docs/current/protocol-message-formats.html."""


class Line:
    """Passes bytes on both ways, until something that the client sends is to break it.

    `breaks_at` is asked of everything that the client sends; what it answers decides whether that still reaches the
    server ("after") or not ("before") before the line breaks, on which the server's answer is lost. None goes on.
    """

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self.encrypted = 0
        """How many connections were."""
        self._tls = tls
        self.breaks_at: Callable[[bytes], str | None] = lambda sent: None
        self._host = host
        self._port = port

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._tls is not None and not await self._encrypt(reader, writer, self._tls):
            return
        server_reader, server_writer = await asyncio.open_connection(self._host, self._port)
        back = asyncio.create_task(_pass_on(server_reader, writer))
        try:
            while sent := await reader.read(65536):
                order = self.breaks_at(sent)
                if order == "before":
                    break
                server_writer.write(sent)
                await server_writer.drain()
                if order == "after":
                    back.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await back
                    await server_reader.read(1)  # now the server has done it
                    break
        finally:
            back.cancel()
            writer.close()
            server_writer.close()

    async def _encrypt(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: ssl.SSLContext) -> bool:
        """As a PostgreSQL server does that takes nothing else; not every client goes along with it."""
        try:
            if await reader.readexactly(8) == SSL_REQUEST:
                writer.write(b"S")
                await writer.start_tls(tls)
                self.encrypted += 1
                return True
        except (OSError, asyncio.IncompleteReadError):
            pass
        writer.close()
        return False


def once(words: bytes, where: str) -> Callable[[bytes], str | None]:
    """For `breaks_at`: the line breaks when the words come by for the first time."""
    left = [where]
    return lambda sent: left.pop() if left and words in sent else None


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while sent := await reader.read(65536):
            writer.write(sent)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def line_to(url: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Line, str]]:
    """A line to the server of a database, and the URL of the database at the end of it."""
    target = make_url(url)
    assert target.host is not None
    assert target.port is not None
    line = Line(target.host, target.port, tls)
    listener = await asyncio.start_server(line.carry, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    try:
        yield line, target.set(port=port).render_as_string(hide_password=False)
    finally:
        listener.close()
