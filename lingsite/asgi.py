import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lingsite.settings")
django_app = get_asgi_application()

from django.conf import settings  # noqa: E402
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler  # noqa: E402

from lingstream.asgi import application as with_lingstream  # noqa: E402

application = with_lingstream(ASGIStaticFilesHandler(django_app) if settings.DEBUG else django_app)
