from django.conf.urls.i18n import i18n_patterns
from django.contrib import admin
from django.urls import include, path
from django.views.generic import TemplateView

from tests.ordinary.views import ask, write

page = TemplateView.as_view(template_name="ordinary.html")

urlpatterns = i18n_patterns(
    path("ask/<str:transport>/", page, name="ask"),
    path("ask/", ask),
    path("notes/<int:pk>/", page, name="note"),
    path("notes/", write),
    path("admin/", admin.site.urls),
    path("api/ai/", include("lingstream.urls")),
    path("api/ai/knowledge/", include("lingstream.knowledge.urls")),
)
