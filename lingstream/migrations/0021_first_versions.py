from django.db import migrations

SETTINGS = ("input_schema", "limits", "on_disconnect", "show_reasoning")
NAMES = {"prompt": "slug", "provider": "name", "source": "name", "target": "name"}
LEFT_OUT = ("id", "workflow", "position")


def publish(apps, schema_editor):
    """Runs of each workflow start from its rows as they are now, which are its version 1."""
    alias = schema_editor.connection.alias
    Workflow, Version, PublishedStep = (
        apps.get_model("lingstream", name) for name in ("Workflow", "WorkflowVersion", "PublishedStep")
    )
    for workflow in Workflow.objects.using(alias).filter(published=None, draft_only=False):
        steps = workflow.steps.select_related("prompt", "provider").order_by("position", "id")
        triggers = workflow.triggers.select_related("source", "target").order_by("position", "id")
        plan = {
            **{name: getattr(workflow, name) for name in SETTINGS},
            "steps": [data(step) for step in steps],
            "triggers": [data(trigger) for trigger in triggers],
        }
        workflow.published = Version.objects.using(alias).create(workflow=workflow, number=1, plan=plan)
        workflow.save(update_fields=["published"])
        PublishedStep.objects.using(alias).bulk_create(
            PublishedStep(
                workflow=workflow,
                name=step.name,
                prompt_id=step.prompt_id,
                label=step.label,
                provider_id=step.provider_id,
            )
            for step in steps
        )


def data(row):
    names = (each.name for each in row._meta.concrete_fields if each.name not in LEFT_OUT)
    return {name: named(getattr(row, name), name) for name in names}


def named(value, column):
    return getattr(value, NAMES[column]) if value is not None and column in NAMES else value


class Migration(migrations.Migration):
    """Publish each workflow; apart from the tables, as PostgreSQL changes none that has rows to check."""

    dependencies = [
        ("lingstream", "0020_versions"),
    ]

    operations = [
        migrations.RunPython(publish, migrations.RunPython.noop, elidable=True),
    ]
