from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel(
            "Stock",
            [("product", models.TextField(primary_key=True, serialize=False)), ("quantity", models.IntegerField())],
        )
    ]
