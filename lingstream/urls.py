"""``path("ling/", include("lingstream.urls"))``."""

from django.urls import path

from .conversations import api, embed, hooks, pages, uploads
from .transports import eventstream, http

app_name = "lingstream"

# Any text where a slug or an id belongs: what is none is told so as JSON, not by Django's page.
urlpatterns = [
    path("workflows/<str:slug>/runs/", http.runs, name="runs"),
    path("events/", http.feed, name="feed"),
    path("notices/", eventstream.notices, name="notices"),
    path("runs/<str:run_id>/", http.state, name="run"),
    path("runs/<str:run_id>/events/", http.events, name="events"),
    path("runs/<str:run_id>/cancel/", http.cancel, name="cancel"),
    path("runs/<str:run_id>/feedback/", api.feedback, name="feedback"),
    path("attachments/", uploads.attachments, name="attachments"),
    path("attachments/<str:name>/", uploads.attachment, name="attachment"),
    path("chat/<str:slug>/", pages.chat, name="chat"),
    path("chat/<str:slug>/<str:name>/", pages.chat, name="chat"),
    path("hooks/<str:name>/", hooks.hook, name="hook"),
    path("embed/<str:slug>/", embed.embed, name="embed"),
    path("embed/<str:slug>/visitor/", embed.visitor, name="embed-visitor"),
    path("conversations/", api.conversations, name="conversations"),
    path("conversations/<str:name>/", api.conversation, name="conversation"),
    path("conversations/<str:name>/messages/", api.messages, name="messages"),
    path("conversations/<str:name>/regenerate/", api.regenerate, name="regenerate"),
    path("conversations/<str:name>/edit/", api.edit, name="edit"),
    path("conversations/<str:name>/stop/", api.stop, name="stop"),
    path("conversations/<str:name>/typing/", api.typing, name="typing"),
    path("conversations/<str:name>/export/", api.export, name="export"),
]
