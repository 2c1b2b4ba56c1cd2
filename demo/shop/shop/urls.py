"""Addresses of the shop."""

from django.contrib import admin
from django.urls import include, path

from shop import probes

urlpatterns = [
    path("", include("orders.urls")),
    path("slow/", probes.slow, name="slow"),
    path("status/<int:code>/", probes.status, name="status"),
    path("admin/", admin.site.urls),
]
