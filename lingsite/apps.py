from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class LingsiteConfig(AppConfig):
    name = "lingsite"
    verbose_name = _("lingstream demo")
