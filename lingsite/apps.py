from django.apps import AppConfig


class LingsiteConfig(AppConfig):
    name = "lingsite"
    verbose_name = "lingstream demo"
