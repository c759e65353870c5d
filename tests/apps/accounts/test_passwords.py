"""Which passwords are good enough, and how they are kept."""

import asyncio
from collections.abc import Sequence

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from apps.accounts import passwords
from project.problems import Unavailable

GOOD = "correct horse battery"


class TestRefusal:
    @pytest.mark.parametrize(
        "password",
        [
            GOOD,
            "xK9#mQ2$",
            "ei8ght8x",
            "83190462",
            "пароль на русском",
            "密码密码正确的马电池",
            "🐎🐎🐎🔋🔋🔋ab",
            "long " * 25 + "one",
            "  blanks count  ",
        ],
    )
    def test_is_none_of_what_nobody_guesses(self, password: str) -> None:
        assert passwords.refusal(password, "ananya") is None

    @pytest.mark.parametrize("password", ["", "1234567", "x" * 129, "ﬁ" * 65, "\u0041\u030a" * 7])
    def test_counts_characters_as_they_are_kept(self, password: str) -> None:
        assert passwords.refusal(password) == "must have 8 to 128 characters"

    @pytest.mark.parametrize(
        "password",
        ["password", "PASSWORD", "12345678", "qwertyuiop", "Iloveyou", "ｐａｓｓｗｏｒｄ", "aaaaaaaa", "abababab"],
    )
    def test_knows_what_is_tried_first(self, password: str) -> None:
        assert passwords.refusal(password) == "is too common: attackers try it first"

    @pytest.mark.parametrize(
        "password",
        ["ananya.rao", "Ananya.Rao!", "ananya.rao2026", "registrar1", "##Registrar##", "ananya.rao@school.example"],
    )
    def test_knows_what_is_tried_of_somebody(self, password: str) -> None:
        refusal = passwords.refusal(password, "Ananya.Rao@school.example")
        assert refusal == "is too much like a name that attackers know"

    def test_knows_as_many_as_attackers_try(self) -> None:
        """OWASP ASVS 5.0, 6.2.4, asks for the 3,000 commonest."""
        assert len(passwords.common()) > 10_000
        assert all(len(password) >= passwords.LEAST for password in passwords.common())


class TestKept:
    def test_is_argon2id_as_owasp_asks_for_it(self) -> None:
        parameters = extract_parameters(passwords.hashed(GOOD))
        assert parameters.type is Type.ID
        assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19 * 1024, 2, 1)
        assert (parameters.salt_len, parameters.hash_len) == (16, 32)

    def test_is_another_each_time(self) -> None:
        assert passwords.hashed(GOOD) != passwords.hashed(GOOD)

    def test_is_right_for_one_password(self) -> None:
        kept = passwords.hashed(GOOD)
        assert passwords.is_right(kept, GOOD)
        for other in (GOOD.upper(), f"{GOOD} ", "", GOOD + "\0", "\ud800"):
            assert not passwords.is_right(kept, other)

    @pytest.mark.parametrize("kept", [None, "", "!", "plain text", "$argon2id$v=19$m=8,t=1,p=1$broken"])
    def test_is_never_right_where_there_is_none(self, kept: str | None) -> None:
        assert not passwords.is_right(kept, GOOD)

    def test_of_nobody_takes_the_work_of_anybodys(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = []
        verify = PasswordHasher.verify

        def remember(hasher: PasswordHasher, kept: str, password: bytes) -> bool:
            asked.append(extract_parameters(kept))
            return bool(verify(hasher, kept, password))

        monkeypatch.setattr(PasswordHasher, "verify", remember)
        passwords.is_right(None, GOOD)
        passwords.is_right(passwords.hashed(GOOD), GOOD)
        assert asked[0] == asked[1]


class TestHashing:
    def test_leaves_the_event_loop_to_others(self) -> None:
        async def count_turns() -> int:
            hashing = passwords.Hashing()
            task = asyncio.create_task(hashing.hashed(GOOD))
            turns = 0
            while not task.done():
                await asyncio.sleep(0)
                turns += 1
            hashing.close()
            return turns

        assert asyncio.run(count_turns()) > 10

    def test_lets_some_wait_and_sends_others_away(self) -> None:
        async def crowd() -> Sequence[object]:
            hashing = passwords.Hashing()

            async def enter() -> str:
                async with hashing.turn():
                    return await hashing.hashed(GOOD)

            number = passwords.MOST_WAITING + 3
            outcomes = await asyncio.gather(*(enter() for _ in range(number)), return_exceptions=True)
            async with hashing.turn():  # which there is room for again
                hashing.close()
            return outcomes

        outcomes = asyncio.run(crowd())
        assert sum(isinstance(outcome, str) for outcome in outcomes) == passwords.MOST_WAITING
        refused = [outcome for outcome in outcomes if isinstance(outcome, Unavailable)]
        assert len(refused) == 3
        assert refused[0].headers == {"Retry-After": "1"}
