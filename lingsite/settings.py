"""Settings of the demo project: everything embedded, no server beside it."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

# A key for a demo on one's own machine. A site that is reachable sets DJANGO_SECRET_KEY and DJANGO_DEBUG=0.
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "lingstream-demo-not-a-secret")
DEBUG = os.environ.get("DJANGO_DEBUG", "1") == "1"
ALLOWED_HOSTS = os.environ.get("DJANGO_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "lingstream",
    "lingstream.knowledge",
    "lingsite",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "lingsite.urls"
ASGI_APPLICATION = "lingsite.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DJANGO_SQLITE", BASE_DIR / "db.sqlite3"),
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
LANGUAGES = [
    ("en", "English"),
    ("zh-hans", "Simplified Chinese"),
]  # what the demo and the admin are written in
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "static_root"
STATICFILES_DIRS = [BASE_DIR / "static"]

# The demo is for anyone on purpose.
SILENCED_SYSTEM_CHECKS = ["lingstream.W011"]

LINGSTREAM = {
    "DEFAULT_PROVIDER": "demo",
    "DEAD_AFTER": 25.0,  # above the time-out of SQLite, for which a heartbeat may wait
    # Everybody who tries the demo on this machine has one address.
    "STARTS_PER_ADDRESS": "600/m",
    "STARTS_PER_IDENTITY": "600/m",
    "OPEN_RUNS": 200,
    # What the page /docs/ answers from.
    "KNOWLEDGE_ROOTS": [str(BASE_DIR / "docs")],
    # The key of the demo model may go to the demo's endpoint and nowhere else.
    "PROVIDER_KEYS": {
        "LINGSTREAM_API_KEY": [os.environ.get("LINGSTREAM_ENDPOINT") or "https://api.openai.com/v1"]
    },
}
