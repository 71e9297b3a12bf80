"""``path("ling/", include("lingstream.urls"))``."""

from django.urls import path

from . import sse, views

app_name = "lingstream"

urlpatterns = [
    path("workflows/<slug:slug>/runs/", views.runs, name="runs"),
    path("runs/<uuid:run_id>/", views.state, name="run"),
    path("runs/<uuid:run_id>/events/", sse.events, name="events"),
    path("runs/<uuid:run_id>/cancel/", views.cancel, name="cancel"),
]
