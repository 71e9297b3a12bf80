from django.db import migrations

# A plan begins like this; read by its beginning, as PostgreSQL's json takes no text that has NUL escaped.
BEGINNING = r'^\{"workflow":"[^"]*","python":(?:true|false),"published":([1-9][0-9]{0,8})[,}]'
STATEMENTS = {
    "sqlite": (
        """
        UPDATE lingstream_run SET published = json_extract(plan, '$.published')
        WHERE published = 0 AND id IN ({})
        AND CASE WHEN json_valid(plan) THEN json_extract(plan, '$.published') END > 0
        """,
        [],
    ),
    "postgresql": (
        """
        UPDATE lingstream_run SET published = substring(plan from %s)::integer
        WHERE plan ~ %s AND id IN (SELECT id FROM lingstream_run WHERE published = 0 AND id IN ({})
        ORDER BY id FOR UPDATE)
        """,
        [BEGINNING, BEGINNING],
    ),
}
AT_ONCE = 500


def fill(apps, schema_editor):
    """Runs from before name the version that their plan names.

    Each few are stored by themselves, so that the runs that go on meanwhile wait for no more than that.
    """
    connection = schema_editor.connection
    if connection.vendor not in STATEMENTS:
        return
    statement, values = STATEMENTS[connection.vendor]
    run = apps.get_model("lingstream", "Run")
    keys = list(run.objects.using(connection.alias).order_by("pk").values_list("pk", flat=True))
    field = run._meta.pk
    for start in range(0, len(keys), AT_ONCE):
        part = [field.get_db_prep_value(key, connection) for key in keys[start : start + AT_ONCE]]
        with connection.cursor() as cursor:
            cursor.execute(statement.format(", ".join(["%s"] * len(part))), [*values, *part])


class Migration(migrations.Migration):
    """Apart from the column, as PostgreSQL changes no table that has rows to check."""

    atomic = False

    dependencies = [
        ("lingstream", "0027_versions_of_runs"),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
    ]
