"""What admins are shown of the audit trail, and how they ask for it."""

import datetime as dt
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

Id = Annotated[
    int, Meta(ge=1, le=2**63 - 1, description="The entry's place in the chain: from 1 on, without gaps.", examples=[1])
]
Moment = Annotated[
    str,
    Meta(
        description="RFC 3339 in UTC with six fraction digits.",
        examples=["2026-01-31T09:30:00.123456Z"],
        extra_json_schema={"format": "date-time"},
    ),
]
Actor = Annotated[
    str,
    Meta(
        max_length=200,
        description="A username, as it then was; of a command, that of who ran it on its machine. Empty for nobody.",
        examples=["ananya"],
    ),
]
Action = Annotated[
    str,
    Meta(
        max_length=50,
        description="`create`, `update`, `delete`, or what was done to many: `import`, `load`, `flush`, `change`.",
        examples=["update"],
    ),
]
Record = Annotated[
    str,
    Meta(max_length=100, description="What kind of record it was; empty for several.", examples=["students.student"]),
]
Key = Annotated[str, Meta(max_length=300, description="The record's id; empty for many.", examples=["17"])]
Channel = Annotated[
    str,
    Meta(
        max_length=10,
        description="Where it came from: `api`, `admin`, `command`, or `service` for the service itself.",
        examples=["api"],
    ),
]
UserId = Annotated[int, Meta(description="The user's id, which outlives the name.", examples=[3])]
TokenId = Annotated[int, Meta(description="The id of the token that was used.", examples=[12])]
Count = Annotated[int, Meta(ge=0, examples=[1])]


class AuditChange(Struct, frozen=True):
    """A field's value before and after. Long ones are cut short, and of secrets it only says that they changed."""

    before: Annotated[Any, Meta(description="Null for a record that was created.", examples=[8.9])]
    after: Annotated[Any, Meta(description="Null for a record that was deleted.", examples=[9.2])]


class AuditDetails(Struct, frozen=True, omit_defaults=True):
    """What was changed: the fields of one record, or how many records."""

    changes: Annotated[dict[str, AuditChange], Meta(description="By the field's name.")] = {}
    counts: Annotated[dict[str, dict[str, Count]], Meta(description="By the kind of record, and by action.")] = {}
    keys: Annotated[str, Meta(description="Which of many, where that is known.", examples=["1-1000, 1002"])] = ""
    truncated: Annotated[bool, Meta(description="Whether there was more than an entry has room for.")] = False


class AuditEntry(Struct, frozen=True, kw_only=True):
    """Who did what to which record, when, and from where."""

    id: Id
    created_at: Moment = field(name="at")
    updated_at: Moment = field(name="sealed_at")
    actor: Actor
    actor_id: UserId | UnsetType = UNSET
    token_id: TokenId | UnsetType = UNSET
    channel: Channel
    address: Annotated[
        str, Meta(max_length=50, description="The client's; empty where there is none.", examples=["203.0.113.7"])
    ]
    request_id: Annotated[
        str,
        Meta(
            max_length=128,
            description="As in X-Request-ID and in the log; of a command, its name.",
            examples=["c8a3f0de41b29977"],
        ),
    ]
    action: Action
    record: Record
    key: Key
    details: AuditDetails


class AuditPage(Struct, omit_defaults=True):
    """Some entries, and where the next ones are."""

    items: Annotated[list[AuditEntry], Meta(max_length=100)]
    next_cursor: (
        Annotated[
            str,
            Meta(
                description="For `cursor` of the next page; absent on the last.",
                examples=["Cq0YkqcY2fTqZJLECAYYVhp3Kjakc2lkGA"],
            ),
        ]
        | UnsetType
    ) = UNSET


class AuditQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    record: Annotated[Record, Meta(min_length=1, description="Only of this kind of record.")] | UnsetType = UNSET
    key: Annotated[Key, Meta(min_length=1, description="Only of the record with this id.")] | UnsetType = UNSET
    actor: Annotated[Actor, Meta(description="Only what this user did; empty for nobody.")] | UnsetType = UNSET
    action: Annotated[Action, Meta(min_length=1, description="Only what was this.")] | UnsetType = UNSET
    since: (
        Annotated[
            dt.datetime,
            Meta(
                tz=True,
                description="Only from this moment on: RFC 3339 with a time zone.",
                examples=["2026-01-31T09:30:00Z"],
            ),
        ]
        | UnsetType
    ) = UNSET
    until: (
        Annotated[
            dt.datetime,
            Meta(
                tz=True,
                description="Only before this moment: RFC 3339 with a time zone.",
                examples=["2026-02-01T00:00:00Z"],
            ),
        ]
        | UnsetType
    ) = UNSET
    sort: Annotated[Literal["at", "-at"], Meta(description="The order; `-at` has the newest first.")] = "-at"
    limit: Annotated[int, Meta(ge=1, le=100, description="How many at most.")] = 20
    cursor: (
        Annotated[str, Meta(min_length=1, max_length=4096, description="`next_cursor` of the page before.")] | UnsetType
    ) = UNSET
