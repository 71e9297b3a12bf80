import os
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

from lingstream.asgi import application as with_lingstream

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.ordinary.settings")


class Whoami(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """A socket of the site's own."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json({"user": str(self.scope["user"]), "said": content})


application = with_lingstream(
    ProtocolTypeRouter(
        {
            "http": get_asgi_application(),
            "websocket": AuthMiddlewareStack(URLRouter([path("site/ws/whoami/", Whoami.as_asgi())])),
        }
    )
)
