from django.contrib import admin
from django.urls import include, path

from .views import Demo, Docs, Page

urlpatterns = [
    path("", Demo.as_view(), name="demo"),
    path("docs/", Docs.as_view(), name="docs"),
    path("docs/<path:name>", Page.as_view(), name="page"),
    path("admin/", admin.site.urls),
    path("language/", include("django.conf.urls.i18n")),
    path("ling/", include("lingstream.urls")),
    path("ling/knowledge/", include("lingstream.knowledge.urls")),
]
