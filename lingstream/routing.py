"""The WebSocket route, for those who compose their ASGI application themselves."""

from django.urls import path

from .consumers import LingConsumer

__all__ = ["websocket_urlpatterns"]

websocket_urlpatterns = [path("ws/ling/", LingConsumer.as_asgi())]
