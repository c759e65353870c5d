"""`manage.py routes`: what the service answers to."""

import click
from litestar.routes import HTTPRoute

from project.asgi import create_app
from project.commands._tables import show
from project.settings import load

GROUP = "Development"


@click.command()
def routes() -> None:
    """List the routes: method, path, handler, and the operation's name in the API's description."""
    app = create_app(load())
    rows = [
        (method, route.path_format, handler.handler_name, str(handler.operation_id or ""))
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in sorted(handler.http_methods)
        if method != "OPTIONS"
    ]
    show(("method", "path", "handler", "operation"), sorted(rows, key=lambda row: (row[1], row[0])))
