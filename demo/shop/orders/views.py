"""The pages of the shop."""

from django.db import transaction
from django.shortcuts import redirect, render
from django.views.generic import DetailView, FormView, ListView

from orders.forms import OrderForm
from orders.models import Order
from orders.statistics import row_counts


def home(request):
    """Show how much there is in the shop and what was ordered last."""
    latest = Order.objects.select_related("customer")[:10]
    return render(request, "orders/home.html", {"counts": row_counts(), "latest": latest})


class OrderListView(ListView):
    """List all orders, latest first."""

    queryset = Order.objects.prefetch_related("customer")
    paginate_by = 20


class OrderDetailView(DetailView):
    """Show one order with its lines."""

    queryset = Order.objects.select_related("customer").prefetch_related("lines")
    slug_field = slug_url_kwarg = "reference"


class OrderCreateView(FormView):
    """Take an order."""

    form_class = OrderForm
    template_name = "orders/order_form.html"

    # The check of the reference and the order that uses it belong together: in one transaction
    # no other request can take the reference in between.
    @transaction.atomic
    def post(self, request, *args, **kwargs):
        """Store the order, whole or not at all, before it is acknowledged."""
        return super().post(request, *args, **kwargs)

    def form_valid(self, form):
        """Send the customer to the page of the new order."""
        return redirect(form.save())

    def form_invalid(self, form):
        """Show what is wrong; a taken reference is a conflict, to tell it from other mistakes."""
        status = 409 if form.has_error("reference", code="taken") else 200
        return self.render_to_response(self.get_context_data(form=form), status=status)
