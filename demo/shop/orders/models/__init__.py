"""The data of the shop."""

from orders.models.customer import Customer
from orders.models.order import Order
from orders.models.order_line import OrderLine

__all__ = ["Customer", "Order", "OrderLine"]
