"""Settings of the shop; whatever differs between machines comes from the environment.

==================== ==================================== ==============================
Variable             Meaning                              Default
==================== ==================================== ==============================
SHOP_SECRET_KEY      Django's secret key                  none: it must be set
DATABASE_URL         the database, as dj-database-url     none: SHOP_DATABASE
                     reads it
SHOP_DATABASE        path of the SQLite database          db.sqlite3 beside manage.py
SHOP_STATIC_ROOT     where collectstatic writes           collected_static beside manage.py
SHOP_ALLOWED_HOSTS   host names served, comma separated   localhost,127.0.0.1
SHOP_DEBUG           1 for debug mode                     0
SHOP_MIDDLEWARE      1 for the app django_intermission    0
==================== ==================================== ==============================
"""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("SHOP_SECRET_KEY", "")
if not SECRET_KEY:
    raise ImproperlyConfigured("The environment variable SHOP_SECRET_KEY must be set.")

DEBUG = os.environ.get("SHOP_DEBUG", "0") == "1"

ALLOWED_HOSTS = [
    host.strip() for host in os.environ.get("SHOP_ALLOWED_HOSTS", "localhost,127.0.0.1").split(",") if host.strip()
]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "orders",
]

MIDDLEWARE = [
    # Outermost, so that error responses made by the others name the version too.
    "shop.middleware.VersionHeaderMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

if os.environ.get("SHOP_MIDDLEWARE") == "1":
    INSTALLED_APPS.append("django_intermission")
    MIDDLEWARE.insert(0, "django_intermission.middleware.MaintenanceModeMiddleware")
    behind = MIDDLEWARE.index("django.contrib.auth.middleware.AuthenticationMiddleware") + 1
    MIDDLEWARE.insert(behind, "django_intermission.middleware.MaintenanceModeLateMiddleware")
    MAINTENANCE_ALLOWED_URLS = ["^/admin/"]
    MAINTENANCE_ALLOW_STAFF = True

ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "shop.context_processors.version",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE") or BASE_DIR / "db.sqlite3",
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL",
            "timeout": 20,
            # A transaction that starts by reading and then writes would fail at once, without
            # waiting for the timeout, if another one had written in between.
            "transaction_mode": "IMMEDIATE",
        },
    },
}
if "DATABASE_URL" in os.environ:
    import dj_database_url

    DATABASES["default"] = dj_database_url.config(conn_max_age=60, conn_health_checks=True)
    if DATABASES["default"]["ENGINE"] == "django.db.backends.mysql":
        import pymysql

        pymysql.install_as_MySQLdb()  # mysqlclient would have to be compiled
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}
STATIC_URL = "/static/"
STATIC_ROOT = os.environ.get("SHOP_STATIC_ROOT") or BASE_DIR / "collected_static"

USE_TZ = True
TIME_ZONE = "UTC"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": "ERROR"},
    # Without handlers of its own: Django's default ones stay silent outside debug mode.
    "loggers": {"django": {"handlers": [], "level": "ERROR"}},
}
