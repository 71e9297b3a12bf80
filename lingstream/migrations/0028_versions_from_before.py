from django.db import migrations

# A plan begins like this; read by its beginning, as PostgreSQL's json takes no text that has NUL escaped.
BEGINNING = r'^\{"workflow":"[^"]*","python":(?:true|false),"published":([1-9][0-9]{0,8})[,}]'
STATEMENTS = {
    "sqlite": (
        """
        UPDATE lingstream_run SET published = json_extract(plan, '$.published')
        WHERE CASE WHEN json_valid(plan) THEN json_extract(plan, '$.published') END > 0
        """,
        None,
    ),
    "postgresql": (
        "UPDATE lingstream_run SET published = substring(plan from %s)::integer WHERE plan ~ %s",
        [BEGINNING, BEGINNING],
    ),
}


def fill(apps, schema_editor):
    """Runs from before name the version that their plan names."""
    if found := STATEMENTS.get(schema_editor.connection.vendor):
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(*found)


class Migration(migrations.Migration):
    """Apart from the column, as PostgreSQL changes no table that has rows to check."""

    dependencies = [
        ("lingstream", "0027_versions_of_runs"),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
    ]
