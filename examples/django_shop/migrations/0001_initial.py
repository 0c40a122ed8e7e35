"""The stock."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """As `makemigrations` wrote it."""

    initial = True
    operations = [
        migrations.CreateModel(
            name="Stock",
            fields=[
                ("product", models.TextField(primary_key=True, serialize=False)),
                ("quantity", models.IntegerField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(quantity__gte=0), name="stock_is_not_negative")
                ],
            },
        ),
    ]
