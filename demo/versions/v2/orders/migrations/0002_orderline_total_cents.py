"""Store the total of every order line."""

from itertools import islice

from django.db import migrations, models

BATCH_SIZE = 500


def fill_totals(apps, schema_editor):
    """Compute the total of the lines that were stored without one."""
    order_lines = apps.get_model("orders", "OrderLine").objects
    # MariaDB and MySQL look at every unique key, and may not be told one
    unique = ["id"] if schema_editor.connection.features.supports_update_conflicts_with_target else None
    rows = order_lines.order_by("pk").iterator(chunk_size=BATCH_SIZE)
    while batch := list(islice(rows, BATCH_SIZE)):
        for line in batch:
            line.total_cents = line.quantity * line.unit_price_cents
        # An upsert of rows that all exist: several times faster than bulk_update.
        order_lines.bulk_create(batch, update_conflicts=True, unique_fields=unique, update_fields=["total_cents"])


class Migration(migrations.Migration):
    """Add the column empty, fill it, then let it be empty no more."""

    dependencies = [("orders", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="orderline",
            name="total_cents",
            field=models.PositiveIntegerField(editable=False, null=True),
        ),
        migrations.RunPython(fill_totals, migrations.RunPython.noop),
        migrations.AlterField(
            model_name="orderline",
            name="total_cents",
            field=models.PositiveIntegerField(editable=False),
        ),
    ]
