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
        from lingstream.conversations.sources import told_by

        from . import checks, due, sources  # noqa: F401  (register themselves)
        from .models import Citation, Document
        from .registry import declare_after_migrate
        from .revisions import document_goes

        told_by(Citation.objects)
        autodiscover_modules("knowledge")
        pre_delete.connect(document_goes, sender=Document, dispatch_uid="lingstream.knowledge")
        post_migrate.connect(declare_after_migrate, sender=self, dispatch_uid="lingstream.knowledge")
