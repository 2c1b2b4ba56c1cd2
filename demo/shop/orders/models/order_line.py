"""The lines of an order."""

from django.db import models


class OrderLine(models.Model):
    """A product within an order, at the price of the day."""

    order = models.ForeignKey("Order", on_delete=models.CASCADE, related_name="lines")
    product = models.CharField(max_length=100)
    quantity = models.PositiveIntegerField()
    unit_price_cents = models.PositiveIntegerField()

    class Meta:
        """Options of the model."""

        ordering = ["pk"]

    def __str__(self):
        """Show the quantity and the product."""
        return f"{self.quantity} × {self.product}"

    def as_dict(self):
        """Return what the API tells about the line."""
        return {
            "product": self.product,
            "quantity": self.quantity,
            "unit_price_cents": self.unit_price_cents,
        }
