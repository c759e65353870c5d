"""What can go wrong when a client is generated."""


class ClientError(Exception):
    """A client cannot be generated; the message is a sentence that says why and what to do."""
