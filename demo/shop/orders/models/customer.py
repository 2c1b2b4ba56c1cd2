"""The people the shop knows."""

from django.db import models


class Customer(models.Model):
    """A person, told apart from others by their e-mail address."""

    name = models.CharField(max_length=100)
    email = models.EmailField(unique=True)

    class Meta:
        """Options of the model."""

        ordering = ["pk"]

    def __str__(self):
        """Name the customer."""
        return self.name
