import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.project.settings")
django_app = get_asgi_application()

from lingstream.asgi import application as with_lingstream  # noqa: E402

application = with_lingstream(django_app)
