"""Erase the customers who have no order, for good."""

from django.db import migrations


def erase_idle_customers(apps, schema_editor):
    """Delete every customer without an order; there is no way to know them again afterwards."""
    apps.get_model("orders", "Customer").objects.filter(orders__isnull=True).delete()


class Migration(migrations.Migration):
    """Delete data; without a reverse function Django refuses to undo it."""

    dependencies = [("orders", "0001_initial")]

    operations = [migrations.RunPython(erase_idle_customers)]
