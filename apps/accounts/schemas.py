"""What clients send and see of accounts, and what may be written of users."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Role = Literal["viewer", "editor", "admin"]

Id = Annotated[int, Meta(ge=1, le=2**63 - 1, description="Given out by the service, never reused.", examples=[1])]
Username = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=150,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@+-]*\Z",
        extra={"refusal": "must be letters and digits of ASCII, and after the first one also _ . @ + -"},
        description="Capital letters count as small ones.",
        examples=["ananya"],
    ),
]
Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=r"^[^\u0000-\u001f\u007f-\u009f]*\Z",
        extra={"refusal": "must hold no control characters"},
        description="What the token is for.",
        examples=["nightly export"],
    ),
]
Timestamp = Annotated[
    str,
    Meta(
        description="RFC 3339 in UTC with six fraction digits.",
        examples=["2026-01-31T09:30:00.123456Z"],
        extra_json_schema={"format": "date-time"},
    ),
]

MINUTE, DAY = 60, 24 * 60 * 60
LIFETIME = 30 * DAY


class User(Struct, frozen=True):
    """Somebody who may sign in."""

    id: Id
    username: Username
    role: Role
    is_active: bool
    created_at: Timestamp
    updated_at: Timestamp


class UserCreate(Struct, forbid_unknown_fields=True):
    """A user to be created."""

    username: Username
    password: str
    role: Role
    is_active: bool = True


class UserUpdate(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What is to change of a user; what is not sent stays."""

    password: str | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET


class TokenCreate(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Who wants a token, and what for."""

    username: Annotated[str, Meta(min_length=1, max_length=150, examples=["ananya"])]
    password: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=1024,
            examples=["correct horse battery staple"],
            extra_json_schema={"format": "password"},
        ),
    ]
    name: Name | UnsetType = UNSET
    expires_in: (
        Annotated[
            int,
            Meta(
                ge=MINUTE,
                le=366 * DAY,
                description=f"Seconds until it expires; {LIFETIME}, which is 30 days, if not sent.",
                examples=[LIFETIME],
            ),
        ]
        | UnsetType
    ) = UNSET
    role: Annotated[Role, Meta(description="At most the user's own, which it is if not sent.")] | UnsetType = UNSET


class NewToken(Struct, frozen=True):
    """A token, and the only time that it is shown."""

    access_token: Annotated[
        str,
        Meta(
            description="To be sent with every request, as `Authorization: Bearer ...`.",
            examples=["registrar_3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAA"],
        ),
    ]
    token_type: Literal["Bearer"]
    id: Id
    name: Name
    role: Role
    expires_at: Timestamp


class Token(Struct, frozen=True, omit_defaults=True):
    """A token, without its secret."""

    id: Id
    name: Name
    role: Annotated[Role, Meta(description="The most that it lets its user do.")]
    created_at: Timestamp
    expires_at: Timestamp
    last_used_at: Annotated[Timestamp, Meta(description="To the minute; absent until it is used.")] | UnsetType = UNSET


class TokenList(Struct, frozen=True):
    """All tokens of a user."""

    items: list[Token]


class Me(Struct, frozen=True):
    """Whose token it is."""

    id: Id
    username: Username
    role: Annotated[Role, Meta(description="What this token lets the user do at this moment.")]
    token_id: Id
