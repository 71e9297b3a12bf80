from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_delete
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class KnowledgeConfig(AppConfig):
    name = "lingstream.knowledge"
    label = "lingstream_knowledge"
    verbose_name = _("knowledge")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register kinds of sources and what is due, and find what apps declare in their ``knowledge.py``."""
        from . import checks, due, sources  # noqa: F401  (register themselves)
        from .models import Document
        from .registry import declare_after_migrate
        from .revisions import document_goes

        autodiscover_modules("knowledge")
        pre_delete.connect(document_goes, sender=Document, dispatch_uid="lingstream.knowledge")
        post_migrate.connect(declare_after_migrate, sender=self, dispatch_uid="lingstream.knowledge")
