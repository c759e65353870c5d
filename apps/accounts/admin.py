"""Users and what they are signed in with, at the admin site."""

from collections.abc import Sequence

from apps.accounts import schemas
from apps.accounts.models import Token, User
from apps.accounts.services import TokenService, UserService
from project.admin import (
    BooleanFilter,
    ChoiceFilter,
    ComputedField,
    Descending,
    EnumField,
    Field,
    PasswordField,
    RecordSession,
    RecordView,
    RefusedError,
    SaveContext,
    Selection,
    SessionAdapter,
    action,
    sentence,
)
from project.callers import ROLES
from project.problems import InvalidBody

TYPED = "new_password"
"""The form's field: what is typed there is not what is kept."""


class UserView(RecordView[User]):
    service = UserService
    creates = schemas.UserCreate
    updates = schemas.UserUpdate
    reads = "admin"
    writes = "admin"

    name = "users"
    group = "Accounts"
    record_title = "{username}"
    fields = (
        User.username,
        PasswordField(TYPED, label="Password", required=True),
        User.role,
        Field(User.is_active, label="May sign in", default=True),
        Field(User.created_at, label="Created"),
        Field(User.updated_at, label="Changed", hidden_in_list=True),
    )
    searchable_fields = (User.username,)
    sortable_fields = (User.username, User.role, User.created_at)
    list_filters = (
        ChoiceFilter("role", choices=[(role, role.capitalize()) for role in ROLES]),
        BooleanFilter("is_active", label="May sign in"),
    )

    async def before_save(self, context: SaveContext[User]) -> None:
        """A password is hashed here, before the unit of work that keeps it: it takes too long for one."""
        await super().before_save(context)
        password = context.values[TYPED].get()
        if password:
            assert isinstance(context.session, RecordSession)
            try:
                hashed = await context.session.accounts.hash(password, context.values[User.username].get())
            except InvalidBody as problem:
                raise RefusedError(sentence(problem.errors[0].detail), field=TYPED) from problem
            context.values[User.password].set(hashed)

    @action("Close the accounts", confirm="Sign the chosen users out, and let them in no more?", permission="edit")
    async def close(self, selection: Selection[User]) -> str:
        users = await self.chosen(selection)
        for user in users:
            user.is_active = False
        return f"{len(users):,} closed."


async def owners(session: SessionAdapter, tokens: Sequence[Token]) -> dict[int, str]:
    """The username of each token's user, by the token's id."""
    assert isinstance(session, RecordSession)
    ids = {token.user_id for token in tokens}
    names = await session.ask(UserService, lambda users: users.repository.names(ids))
    return {token.id: names.get(token.user_id, "") for token in tokens}


class TokenView(RecordView[Token]):
    """Deleted here, a token is revoked and a session ended."""

    service = TokenService
    reads = "admin"
    writes = "admin"

    name = "tokens"
    label = "Token or session"
    label_plural = "Tokens and sessions"
    group = "Accounts"
    record_title = "{name} #{id}"
    fields = (
        Token.name,
        ComputedField("user", load=owners),
        EnumField(Token.kind, choices=[("api", "Token"), ("session", "Session")]),
        Field(Token.role, label="At most"),
        Field(Token.created_at, label="Created"),
        Field(Token.expires_at, label="Expires"),
        Field(Token.last_used_at, label="Last used", empty_text="Never"),
    )
    fields_default_sort = (Descending(Token.id),)
    sortable_fields = ()
    list_filters = (ChoiceFilter("kind", choices=[("api", "Tokens"), ("session", "Sessions")]),)
    can_export = False
