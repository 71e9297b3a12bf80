import django.db.models.deletion
from django.core import validators
from django.db import migrations, models


def lower(apps, schema_editor):
    """A file above what a message may hold was taken, and its message always refused."""
    chats = apps.get_model('lingstream', 'Chat').objects.using(schema_editor.connection.alias)
    chats.filter(max_size__gt=2_500_000).update(max_size=2_500_000)


class Migration(migrations.Migration):
    """What a chat says of its files, its helper and its viewers."""

    dependencies = [
        ('lingstream', '0013_presence'),
    ]

    operations = [
        migrations.AlterField(
            model_name='chat',
            name='max_size',
            field=models.PositiveIntegerField(default=2500000, help_text='In bytes, up to 2,500,000: all files of a message may have no more together.', validators=[validators.MaxValueValidator(2500000)], verbose_name='largest file'),
        ),
        migrations.AddField(
            model_name='chat',
            name='enabled',
            field=models.BooleanField(db_default=True, default=True, help_text='Off: no conversation begins or goes on; those that there are can be read.', verbose_name='enabled'),
        ),
        migrations.AddField(
            model_name='chat',
            name='helper',
            field=models.ForeignKey(blank=True, help_text="The provider that writes summaries and titles. Empty for the site's default provider.", null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='lingstream.provider', verbose_name='helper'),
        ),
        migrations.AddField(
            model_name='chat',
            name='on_abort',
            field=models.CharField(choices=[('continue', 'go on'), ('cancel', 'cancel')], db_default='continue', default='continue', help_text='While the turn is streamed in it. A reload and a lost connection close it too.', max_length=20, verbose_name='when the sender closes the answer'),
        ),
        migrations.RunPython(lower, migrations.RunPython.noop, elidable=True),
    ]
