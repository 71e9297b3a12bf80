"""``path("ling/", include("lingstream.urls"))``."""

from django.urls import path

from . import sse, views

app_name = "lingstream"

# Any text where a slug or an id belongs: what is none is told so as JSON, not by Django's page.
urlpatterns = [
    path("workflows/<str:slug>/runs/", views.runs, name="runs"),
    path("runs/<str:run_id>/", views.state, name="run"),
    path("runs/<str:run_id>/events/", sse.events, name="events"),
    path("runs/<str:run_id>/cancel/", views.cancel, name="cancel"),
]
