"""The shop in Django's admin."""

from django.contrib import admin

from orders.models import Customer, Order, OrderLine


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    """Customers, found by name or address."""

    list_display = ["name", "email"]
    search_fields = ["name", "email"]


class OrderLineInline(admin.TabularInline):
    """The lines within the form of their order."""

    model = OrderLine
    extra = 0


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    """Orders, with their lines."""

    list_display = ["reference", "customer", "created_at", "source"]
    list_select_related = ["customer"]
    list_filter = ["source"]
    search_fields = ["reference"]
    autocomplete_fields = ["customer"]
    inlines = [OrderLineInline]


@admin.register(OrderLine)
class OrderLineAdmin(admin.ModelAdmin):
    """Lines across all orders."""

    list_display = ["product", "quantity", "unit_price_cents", "order"]
    list_select_related = ["order"]
    autocomplete_fields = ["order"]
