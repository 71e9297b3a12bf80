from django.contrib import admin
from django.urls import include, path

from .views import Demo

urlpatterns = [
    path("", Demo.as_view(), name="demo"),
    path("admin/", admin.site.urls),
    path("ling/", include("lingstream.urls")),
]
