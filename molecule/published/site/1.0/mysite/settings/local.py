"""What differs between servers, from the environment: the template's production settings read this file where it is there."""

import os

import dj_database_url

from .base import INSTALLED_APPS

SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = os.environ["ALLOWED_HOSTS"].split(",")
INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.postgres"]
DATABASES = {"default": dj_database_url.config()}
STATIC_ROOT = os.environ["STATIC_ROOT"]
MEDIA_ROOT = os.environ["MEDIA_ROOT"]
