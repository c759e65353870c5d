"""Standard output that takes no more."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click


@contextmanager
def writing_out() -> Iterator[None]:
    """What is written inside is out at the end. Raises ClickException; what a closed pipe means, click knows."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        with Path(os.devnull).open("wb") as nowhere:  # for what is left, which Python writes at its end
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        raise click.ClickException(f"Standard output cannot be written: {error.strerror}.") from error
