"""A site as many are: own user, ATOMIC_REQUESTS, languages, prefix, policy, hashed statics, PostgreSQL."""

import json
import os
from pathlib import Path

from csp.constants import NONCE, NONE, SELF

HERE = Path(__file__).parent
FOLDER = Path(os.environ["ORDINARY_FOLDER"])

SECRET_KEY = "ordinary"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
FORCE_SCRIPT_NAME = "/site"
ROOT_URLCONF = "tests.ordinary.urls"
ASGI_APPLICATION = "tests.ordinary.asgi.application"
AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
USE_TZ = True

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "csp",
    "channels",
    "tests.ordinary.accounts",
    "lingstream",
    "lingstream.knowledge",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [HERE / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": {**json.loads(os.environ["ORDINARY_DATABASE"]), "ATOMIC_REQUESTS": True},
    "archive": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": FOLDER / "archive.sqlite3",
        "ATOMIC_REQUESTS": True,
    },
}
STATIC_URL = "/site/static/"
WHITENOISE_STATIC_PREFIX = "/static/"  # below FORCE_SCRIPT_NAME
STATIC_ROOT = FOLDER / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [NONCE],
        "style-src": [SELF],
        "img-src": [SELF],
        "connect-src": [SELF],
        "base-uri": [NONE],
        "require-trusted-types-for": ["'script'"],
    }
}
LINGSTREAM = {
    "DEFAULT_PROVIDER": "demo",
    "PROVIDER_KINDS": {"test": "tests.ordinary.model.provider"},
    "SOCKET_PATH": "sockets/ai/",
}
