from django.db import migrations, models


class Migration(migrations.Migration):
    """Visitors who are known by more than their session; what is a session's stays so."""

    dependencies = [
        ('lingstream', '0007_turns'),
    ]

    operations = [
        migrations.AddField(
            model_name='conversation',
            name='visitor',
            field=models.CharField(blank=True, db_default='', default='', editable=False, help_text="A digest of the id in the visitor's session or token.", max_length=64, verbose_name='visitor'),
        ),
        migrations.AddField(
            model_name='run',
            name='visitor',
            field=models.CharField(blank=True, db_default='', default='', editable=False, help_text="A digest of the id in the visitor's session or token.", max_length=64, verbose_name='visitor'),
        ),
    ]
