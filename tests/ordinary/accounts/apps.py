from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "tests.ordinary.accounts"
