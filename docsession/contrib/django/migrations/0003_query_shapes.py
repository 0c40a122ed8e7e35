"""The shapes of queries, for advice on indexes."""

from django.db import migrations

from docsession.contrib.django import RunRevision


class Migration(migrations.Migration):
    """See the revision of the same number."""

    atomic = False
    dependencies = [("docsession", "0002_compare_exchange_and_identities")]
    operations = [RunRevision("0003")]
