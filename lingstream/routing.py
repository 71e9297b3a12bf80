"""The WebSocket route, for those who compose their ASGI application themselves."""

from django.urls import path

from .conf import app_settings
from .transports.socket import LingConsumer

__all__ = ["websocket_urlpatterns"]

websocket_urlpatterns = [path(app_settings().socket_path.lstrip("/"), LingConsumer.as_asgi())]
