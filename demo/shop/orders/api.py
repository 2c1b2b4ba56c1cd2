"""The JSON side of the shop."""

from django.http import JsonResponse

from orders.models import Order
from orders.statistics import row_counts
from shop.version import VERSION

LATEST = 20


def order_list(request):
    """Return the latest orders."""
    orders = Order.objects.select_related("customer").prefetch_related("lines")[:LATEST]
    return JsonResponse({"orders": [order.as_dict() for order in orders]})


def order_detail(request, reference):
    """Return one order."""
    order = Order.objects.select_related("customer").filter(reference=reference).first()
    if order is None:
        return JsonResponse({"error": "There is no such order."}, status=404)
    return JsonResponse(order.as_dict())


def summary(request):
    """Return how much there is in the shop."""
    return JsonResponse({"version": VERSION, **row_counts()})


def health(request):
    """Answer only if the database does: one query, over a table of the shop itself."""
    Order.objects.exists()
    return JsonResponse({"status": "ok", "version": VERSION})
