"""``path("ling/knowledge/", include("lingstream.knowledge.urls"))``."""

from django.urls import path

from . import filing, hooks, views

app_name = "lingstream_knowledge"

urlpatterns = [
    path("runs/<str:run_id>/citations/", views.citations, name="citations"),
    path("sources/<str:slug>/", hooks.documents, name="source"),
    path("sources/<str:slug>/files/", filing.files, name="files"),
]
