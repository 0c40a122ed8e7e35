"""System tables and the function for instants; and the model that the admin's pages stand under."""

from django.db import migrations, models

from docsession.contrib.django import RunRevision


class Migration(migrations.Migration):
    """See the revision of the same number."""

    initial = True
    atomic = False
    operations = [
        migrations.CreateModel(
            name="Document",
            fields=[("id", models.TextField(primary_key=True, serialize=False))],
            options={
                "verbose_name": "document",
                "verbose_name_plural": "documents",
                "managed": False,
                "default_permissions": ("view", "change"),
            },
        ),
        RunRevision("0001"),
    ]
