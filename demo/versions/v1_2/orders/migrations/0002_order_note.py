"""Let an order have a note, which the code from before knows nothing of."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Add a column that may stay empty, while the site serves."""

    intermission = "serving"

    dependencies = [("orders", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="order",
            name="note",
            field=models.TextField(blank=True, editable=False, null=True),
        ),
    ]
