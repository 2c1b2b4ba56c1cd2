"""URLs that a request brings with it."""

from __future__ import annotations

from django.urls import path

from django_layer.project import home

urlpatterns = [path("status/", home, name="status")]
