from itertools import groupby, pairwise

from django.db import migrations

_CONVERSATIONS = 200  # at a time
_ROWS = 500  # in one statement


def number(apps, schema_editor):
    """Make each conversation's runs a path, in the order of their beginning.

    One that has numbers was here before this migration was reversed, and keeps them.
    """
    conversations = apps.get_model("lingstream", "Conversation").objects.using(schema_editor.connection.alias)
    last = None
    while True:
        left = conversations.filter(count=0).order_by("pk")
        found = list((left.filter(pk__gt=last) if last else left)[:_CONVERSATIONS])
        if not found:
            return
        last = found[-1].pk
        _number(apps, schema_editor.connection.alias, {row.pk: row for row in found})


def _number(apps, alias, conversations):
    runs = apps.get_model("lingstream", "Run").objects.using(alias)
    rows = runs.filter(conversation__in=conversations).order_by("conversation_id", "created_at", "pk")
    turns = []
    for pk, group in groupby(rows.only("pk", "conversation_id", "workflow"), lambda run: run.conversation_id):
        path = list(group)
        for place, run in enumerate(path, 1):
            run.number = place
        for before, run in pairwise(path):
            run.parent_id = before.pk
        conversation = conversations[pk]
        conversation.workflow, conversation.leaf_id = path[-1].workflow, path[-1].pk
        conversation.count = len(path)
        turns += path
    runs.bulk_update(turns, ["number", "parent"], batch_size=_ROWS)
    named = [row for row in conversations.values() if row.count]
    manager = apps.get_model("lingstream", "Conversation").objects.using(alias)
    manager.bulk_update(named, ["workflow", "leaf", "count"], batch_size=_ROWS)


class Migration(migrations.Migration):
    """What conversations there are get the turns that their runs have been."""

    dependencies = [
        ('lingstream', '0006_conversations'),
    ]

    operations = [
        migrations.RunPython(number, migrations.RunPython.noop, elidable=True),
    ]
