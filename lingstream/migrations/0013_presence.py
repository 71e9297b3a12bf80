import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    """Who has a conversation open."""

    dependencies = [
        ('lingstream', '0012_occasions'),
    ]

    operations = [
        migrations.CreateModel(
            name='Presence',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('tabs', models.PositiveIntegerField(default=0, verbose_name='tabs')),
                ('seen_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='last change')),
                ('conversation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='presences', to='lingstream.conversation', verbose_name='conversation')),
                ('runner', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='lingstream.runner', verbose_name='runner')),
            ],
            options={
                'verbose_name': 'presence',
                'verbose_name_plural': 'presences',
                'constraints': [models.UniqueConstraint(fields=('conversation', 'runner'), name='lingstream_presence_once')],
            },
        ),
    ]
