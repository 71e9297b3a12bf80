from django.urls import include, path

urlpatterns = [path("ling/", include("lingstream.urls"))]
