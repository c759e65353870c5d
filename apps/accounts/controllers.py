"""Tokens over HTTP."""

import datetime as dt
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from apps.accounts import schemas
from apps.accounts.guards import Accounts
from apps.accounts.services import TokenService
from project import callers
from project.access import signed_in
from project.database import Database
from project.dto import StrictDTO
from project.idempotency import Answer
from project.openapi.operations import PROBLEMS
from project.problems import Conflicting, Throttled, Unauthenticated
from project.responses import json_response
from project.times import timestamp_text

TokenId = Annotated[int, PathParameter(description="The token's id.", schema_extra={"minimum": 1})]

NOT_KEPT = {"Cache-Control": "no-store"}


class AuthController(Controller):
    """Tokens, and whose they are."""

    path = "/auth"
    tags = ("auth",)

    @post(
        "/token",
        operation_id="createToken",
        dto=StrictDTO[schemas.TokenCreate],
        return_dto=None,
        opt={PROBLEMS: (Unauthenticated, Conflicting, Throttled)},
        response_description="The token: it is never shown again.",
    )
    async def create(
        self,
        request: Request[Any, Any, Any],
        database: NamedDependency[Database],
        accounts: NamedDependency[Accounts],
        data: JSONBody[schemas.TokenCreate],
    ) -> Response[schemas.NewToken]:
        """Get a token for a username and its password.

        Whoever guesses has to wait longer after each guess. A password that is changed ends all tokens of its user.
        """
        caller = callers.current.get()
        seconds = schemas.LIFETIME if data.expires_in is msgspec.UNSET else data.expires_in
        signed = await accounts.sign_in(
            data.username,
            data.password,
            None if caller is None else caller.address,
            kind="api",
            name="token" if data.name is msgspec.UNSET else data.name,
            role=None if data.role is msgspec.UNSET else data.role,
            lifetime=dt.timedelta(seconds=seconds),
        )
        token = signed.token
        shown = schemas.NewToken(
            access_token=signed.secret,
            token_type="Bearer",  # noqa: S106
            id=token.id,
            name=token.name,
            role=token.role,
            expires_at=timestamp_text(token.expires_at),
        )
        return json_response(Answer(201, msgspec.json.encode(shown), NOT_KEPT))

    @get("/tokens", operation_id="listTokens", response_description="The tokens, the oldest one first.")
    async def list(self, database: NamedDependency[Database]) -> Response[schemas.TokenList]:
        """List your tokens.

        Without their secrets, which nobody keeps.
        """
        user_id, _ = signed_in()
        tokens = await database.read(TokenService, lambda tokens: tokens.of_user(user_id))
        return json_response(Answer(200, msgspec.json.encode(schemas.TokenList(tokens)), {}))

    @delete("/tokens/{token_id:int}", operation_id="revokeToken", response_description="The token is revoked.")
    async def revoke(
        self, database: NamedDependency[Database], accounts: NamedDependency[Accounts], token_id: TokenId
    ) -> None:
        """Revoke one of your tokens.

        All workers refuse it within a second.
        """
        user_id, _ = signed_in()
        await accounts.change(lambda users: users.repository.session.service(TokenService).revoke(token_id, user_id))

    @get("/me", operation_id="getMe", response_description="You.")
    async def me(self) -> Response[schemas.Me]:
        """See whose token this is, and what it is good for."""
        user_id, caller = signed_in()
        me = schemas.Me(user_id, caller.name, caller.role, caller.token_id)  # type: ignore[arg-type]
        return json_response(Answer(200, msgspec.json.encode(me), {}))
