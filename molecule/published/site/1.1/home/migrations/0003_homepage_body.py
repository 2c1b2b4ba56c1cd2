"""Give the front page its text."""

import wagtail.fields
from django.db import migrations


class Migration(migrations.Migration):
    """Add the column; pages that are there get the default."""

    dependencies = [("home", "0002_create_homepage")]

    operations = [
        migrations.AddField(
            model_name="homepage",
            name="body",
            field=wagtail.fields.RichTextField(default="<p>Fresh from the oven.</p>"),
        ),
    ]
