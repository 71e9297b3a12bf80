"""On PostgreSQL the words of a passage lie in its row up to a page's size, and not in a table beside it.

A ranking reads them all, and each that lies elsewhere costs three looks more. What is written from now on lies
there; what was before is found as ever.
"""

from django.db import migrations

POSTGRESQL = "ALTER TABLE lingstream_knowledge_words SET (toast_tuple_target = 8160)"
NO_POSTGRESQL = "ALTER TABLE lingstream_knowledge_words RESET (toast_tuple_target)"


def _execute(statement):
    def execute(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(statement, params=None)

    return execute


class Migration(migrations.Migration):
    dependencies = [("lingstream_knowledge", "0010_citations_base")]

    operations = [migrations.RunPython(_execute(POSTGRESQL), _execute(NO_POSTGRESQL))]
