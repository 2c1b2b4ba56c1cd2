"""The lines of an order."""

from django.db import models


class OrderLineQuerySet(models.QuerySet):
    """Order lines, which know their total however they are created."""

    def bulk_create(self, objs, *args, **kwargs):
        """Fill the totals, as ``save`` is not called for lines created in bulk."""
        objs = list(objs)
        for line in objs:
            line.fill_total()
        return super().bulk_create(objs, *args, **kwargs)


class OrderLine(models.Model):
    """A product within an order, at the price of the day."""

    order = models.ForeignKey("Order", on_delete=models.CASCADE, related_name="lines")
    product = models.CharField(max_length=100)
    quantity = models.PositiveIntegerField()
    unit_price_cents = models.PositiveIntegerField()
    total_cents = models.PositiveIntegerField(editable=False)

    objects = OrderLineQuerySet.as_manager()

    class Meta:
        """Options of the model."""

        ordering = ["pk"]

    def __str__(self):
        """Show the quantity and the product."""
        return f"{self.quantity} × {self.product}"

    def save(self, **kwargs):
        """Store the line with its total."""
        self.fill_total()
        super().save(**kwargs)

    def fill_total(self):
        """Set the total to what quantity and unit price make it."""
        self.total_cents = self.quantity * self.unit_price_cents

    def as_dict(self):
        """Return what the API tells about the line."""
        return {
            "product": self.product,
            "quantity": self.quantity,
            "unit_price_cents": self.unit_price_cents,
            "total_cents": self.total_cents,
        }
