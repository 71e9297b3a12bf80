import os

from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

from lingstream.asgi import application as with_lingstream

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lingsite.settings")
django_app = get_asgi_application()

application = with_lingstream(ASGIStaticFilesHandler(django_app) if settings.DEBUG else django_app)
