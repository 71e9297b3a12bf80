from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db.models.signals import post_migrate
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
        from .conversations import chores, presence, schedules, silence  # noqa: F401  (told of turns, and time)
        from .conversations.declared import sync_after_migrate
        from .conversations.notices import end_session
        from .execution import schedules as run_schedules  # noqa: F401  (told of time)
        from .steps import register_kinds

        post_migrate.connect(sync_after_migrate, sender=self, dispatch_uid="lingstream.occasions")
        user_logged_in.connect(claim_at_login, dispatch_uid="lingstream.claims")
        user_logged_out.connect(end_session, dispatch_uid="lingstream.notices")
        install(site_guard)
        register_kinds(app_settings().step_kinds)
        autodiscover_modules("steps")  # and queries: before workflows, which may use them
        autodiscover_modules("queries")
        autodiscover_modules("workflows")
        autodiscover_modules("scripts")
        autodiscover_modules("dialects")
