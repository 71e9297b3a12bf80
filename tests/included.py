"""Our urls in two places that no client knows."""

from django.urls import include, path

urlpatterns = [
    path("first/ling/", include("lingstream.urls", namespace="first")),
    path("ä/second/", include("lingstream.urls", namespace="second")),
]
