import lingstream.models.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    """Calls of functions beside those of models; processes of the version before can still store theirs."""

    dependencies = [
        ('lingstream', '0003_access'),
    ]

    operations = [
        migrations.AddField(
            model_name='botrun',
            name='kind',
            field=models.CharField(db_default='bot', default='bot', help_text='“bot” asked a model, “once” called a function of a workflow in Python.', max_length=50, verbose_name='kind'),
        ),
        migrations.AddField(
            model_name='botrun',
            name='request',
            field=lingstream.models.fields.JSONTextField(default=None, null=True, verbose_name='request'),
        ),
        migrations.AddField(
            model_name='botrun',
            name='result',
            field=lingstream.models.fields.JSONTextField(default=None, null=True, verbose_name='result'),
        ),
    ]
