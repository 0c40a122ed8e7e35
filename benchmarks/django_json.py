"""What a user of Django would pick instead: a model with a JSONField, whose documents are dicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import django
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict


class DjangoOrders:
    """Orders in a table of Django's own, on a connection that stays open."""

    def __init__(self, url: str, database: str) -> None:
        parts = conninfo_to_dict(url)
        settings.configure(
            DATABASES={
                "default": {
                    "ENGINE": "django.db.backends.postgresql",
                    "NAME": parts["dbname"],
                    "USER": parts.get("user"),
                    "PASSWORD": parts.get("password"),
                    "HOST": parts.get("host"),
                    "PORT": parts.get("port", ""),
                    "CONN_MAX_AGE": None,
                    "OPTIONS": {"options": f"-csearch_path={database}", "server_side_binding": True},
                }
            },
            USE_TZ=True,
        )
        django.setup()
        from django.db import connection, models

        class DjangoOrder(models.Model):  # noqa: DJ008  # nobody looks at it
            key = models.TextField(primary_key=True)
            data = models.JSONField()

            class Meta:
                app_label = "benchmarks"
                db_table = "orders_of_django"

        self._connection = connection
        self._model = DjangoOrder
        with connection.schema_editor() as editor:
            editor.create_model(DjangoOrder)

    def fill(self, documents: Sequence[tuple[str, Any]]) -> None:
        self._model.objects.bulk_create([self._model(key=key, data=data) for key, data in documents])

    def hundred(self) -> Callable[[int], list[Any]]:
        """Return what finds a hundred documents above a freight, in its order."""
        return lambda freight: list(
            self._model.objects.filter(data__freight__gte=freight).order_by("data__freight")[:100]
        )

    def close(self) -> None:
        self._connection.close()
