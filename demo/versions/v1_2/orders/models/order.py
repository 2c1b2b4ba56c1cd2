"""The orders themselves."""

import secrets

from django.db import models
from django.urls import reverse
from django.utils import timezone


def new_reference():
    """Return a reference that nobody can guess from an earlier one."""
    return f"W-{secrets.token_hex(6).upper()}"


class Order(models.Model):
    """What one customer ordered at one time."""

    class Source(models.TextChoices):
        """Where an order came from."""

        WEB = "web"
        GENERATED = "generated"

    customer = models.ForeignKey("Customer", on_delete=models.PROTECT, related_name="orders")
    reference = models.SlugField(max_length=64, unique=True, default=new_reference)
    created_at = models.DateTimeField(default=timezone.now)
    source = models.CharField(max_length=20, choices=Source, default=Source.WEB)
    note = models.TextField(blank=True, editable=False, null=True)

    class Meta:
        """Options of the model."""

        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["-created_at", "-id"], name="orders_latest_first")]

    def __str__(self):
        """Show the reference, by which customers know their order."""
        return self.reference

    def get_absolute_url(self):
        """Return the address of the order's page."""
        return reverse("order", kwargs={"reference": self.reference})

    def as_dict(self):
        """Return what the API tells about the order."""
        return {
            "reference": self.reference,
            "customer": self.customer.name,
            "created_at": self.created_at,
            "source": self.source,
            "lines": [line.as_dict() for line in self.lines.all()],
        }
