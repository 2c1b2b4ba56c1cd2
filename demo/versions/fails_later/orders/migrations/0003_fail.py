"""Fail, in a transaction, when the migration before has come to its end."""

from django.db import migrations


def fail(apps, schema_editor):
    """Raise."""
    raise RuntimeError("The migration failed on purpose.")


class Migration(migrations.Migration):
    """Leave nothing behind."""

    dependencies = [("orders", "0002_orderline_total_cents")]

    operations = [migrations.RunPython(fail, migrations.RunPython.noop)]
