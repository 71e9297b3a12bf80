"""The texts of runs from before, apart from the tables' change: that locks them, and this takes long."""

from django.db import migrations

from lingstream.models.run_texts import excerpt_of, scope_mark, words_of
from lingstream.models.runs import error_code


def fill(apps, schema_editor):
    """Runs from before are found like those that come; their tokens count from now on.

    Each thousand is stored by itself: what was broken off goes on with those that have no text yet.
    """
    alias = schema_editor.connection.alias
    runs, texts = apps.get_model("lingstream", "Run"), apps.get_model("lingstream", "RunText")
    keys = list(runs.objects.using(alias).filter(text=None).order_by("created_at").values_list("pk", flat=True))
    for start in range(0, len(keys), 1_000):
        found = runs.objects.using(alias).only("pk", "scope", "input", "errors").in_bulk(keys[start : start + 1_000])
        rows = [found[key] for key in keys[start : start + 1_000] if key in found]
        texts.objects.using(alias).bulk_create([_text(texts, row) for row in rows], ignore_conflicts=True)
        failed = [row for row in rows if row.errors]
        for row in failed:
            row.error_code = error_code(row.errors)
        runs.objects.using(alias).bulk_update(failed, ["error_code"])


def _text(texts, row):
    said, error = excerpt_of(row.input), excerpt_of([each.get("message", "") for each in row.errors])
    words = " ".join(filter(None, (scope_mark(row.scope), words_of(said), words_of(error))))
    return texts(run_id=row.pk, input=said, error=error, words=words)


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ("lingstream", "0023_runs"),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
    ]
