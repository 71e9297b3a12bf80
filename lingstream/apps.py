from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class LingstreamConfig(AppConfig):
    name = "lingstream"
    verbose_name = _("lingstream")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks, guard what is called, find each app's workflows, scripts and dialects."""
        from . import checks  # noqa: F401  (registers them)
        from .access.network import install
        from .access.policy import site_guard

        install(site_guard)
        autodiscover_modules("workflows")
        autodiscover_modules("scripts")
        autodiscover_modules("dialects")
