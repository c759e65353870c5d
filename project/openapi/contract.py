"""The committed description as a promise: what the code may not break while the API's major version is the same."""

from pathlib import Path

import msgspec

from project.openapi.compatibility import breaking_edits
from project.openapi.structs import Json

COMMITTED = Path(__file__).parents[1] / "docs" / "openapi.json"
"""The document that clients are generated from, kept with the code so that a change of it is seen in review."""


class ContractError(Exception):
    """The committed description cannot be read; the message says what to do."""


def broken(document: Json) -> list[str]:
    """The edits from the committed description to this one that break clients. None where nothing is committed, or
    where a new major version says that they are meant.

    Raises ContractError.
    """
    try:
        committed = msgspec.json.decode(COMMITTED.read_bytes(), type=Json)
    except FileNotFoundError:
        return []
    except msgspec.MsgspecError as error:
        raise ContractError(f"{COMMITTED} is not JSON any longer: take it back from the version control.") from error
    if _major(document) > _major(committed):
        return []
    return breaking_edits(committed, document)


def _major(document: Json) -> int:
    return int(document["info"]["version"].partition(".")[0])
