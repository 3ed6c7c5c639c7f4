"""The application for uvicorn: Django, and what streams beside it."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "demo.settings")
django_application = get_asgi_application()

from notes import streams  # noqa: E402, it needs Django to be set up

routes = {
    ("http", "/echo"): streams.echo,
    ("http", "/report"): streams.report,
    ("websocket", "/socket"): streams.socket,
}


async def application(scope, receive, send):
    route = (scope["type"], scope["path"])
    if scope["type"] == "websocket" and route not in routes:
        await send({"type": "websocket.close"})
        return
    await routes.get(route, django_application)(scope, receive, send)
