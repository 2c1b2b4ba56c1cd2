"""Configuration of the orders application."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    """Customers and their orders."""

    name = "orders"
