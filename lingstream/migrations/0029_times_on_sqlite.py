"""Times that SQLite itself has written, as Django writes times: lists compare them as text."""

from typing import Any

from django.db import migrations


def rewrite(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor != "sqlite":
        return
    schema_editor.execute(
        "UPDATE lingstream_conversation SET updated_at = REPLACE(updated_at || '000', '.000000', '') "
        "WHERE length(updated_at) = 23",
        params=None,
    )


class Migration(migrations.Migration):
    dependencies = [("lingstream", "0028_versions_from_before")]
    operations = [migrations.RunPython(rewrite, migrations.RunPython.noop, elidable=True)]
