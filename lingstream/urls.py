"""``path("ling/", include("lingstream.urls"))``."""

from django.urls import path

from .transports import http

app_name = "lingstream"

# Any text where a slug or an id belongs: what is none is told so as JSON, not by Django's page.
urlpatterns = [
    path("workflows/<str:slug>/runs/", http.runs, name="runs"),
    path("events/", http.feed, name="feed"),
    path("runs/<str:run_id>/", http.state, name="run"),
    path("runs/<str:run_id>/events/", http.events, name="events"),
    path("runs/<str:run_id>/cancel/", http.cancel, name="cancel"),
]
