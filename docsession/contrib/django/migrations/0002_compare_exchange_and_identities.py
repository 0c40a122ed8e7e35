"""Compare-exchange values and identities."""

from django.db import migrations

from docsession.contrib.django import RunRevision


class Migration(migrations.Migration):
    """See the revision of the same number."""

    atomic = False
    dependencies = [("docsession", "0001_base")]
    operations = [RunRevision("0002")]
