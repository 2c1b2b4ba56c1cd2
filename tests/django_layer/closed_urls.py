"""URLs as the project's, of views that nobody has exempted."""

from __future__ import annotations

from django.urls import path

from django_layer.project import home

urlpatterns = [path("health/", home, name="another"), path("open/function/", home)]
