from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class LingstreamConfig(AppConfig):
    name = "lingstream"
    verbose_name = _("lingstream")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register checks and kinds, guard what is called, find each app's steps, workflows and so on."""
        from . import checks  # noqa: F401  (registers them)
        from .access.claims import claim_at_login
        from .access.network import install
        from .access.policy import site_guard
        from .conf import app_settings
        from .conversations import chores  # noqa: F401  (is told of their turns)
        from .steps import register_kinds

        user_logged_in.connect(claim_at_login, dispatch_uid="lingstream.claims")
        install(site_guard)
        register_kinds(app_settings().step_kinds)
        autodiscover_modules("steps")  # before workflows, which may use them
        autodiscover_modules("workflows")
        autodiscover_modules("scripts")
        autodiscover_modules("dialects")
