"""What some tests need besides Python packages, and what happens where it is not there."""

import os
from typing import NoReturn

import pytest

REQUIRE_ALL = "REQUIRE_ALL"
"""Set to 1, a test that lacks something fails: a run that must prove everything cannot skip a part unseen."""


def missing(what: str, how_to_get: str) -> NoReturn:
    """Skips the test, or fails it, with a sentence."""
    sentence = f"{what} is missing: {how_to_get}."
    if os.environ.get(REQUIRE_ALL) == "1":
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)
