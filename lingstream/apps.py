from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class LingstreamConfig(AppConfig):
    name = "lingstream"
    verbose_name = _("lingstream")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks and find each app's ``workflows.py``."""
        from . import checks, checks_site  # noqa: F401  (registers the system checks)

        autodiscover_modules("workflows")
