import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import lingstream.models.fields
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """What people think of answers."""

    dependencies = [
        ('lingstream', '0009_chats'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Feedback',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('session_key', models.CharField(blank=True, max_length=100, verbose_name='session')),
                ('visitor', models.CharField(blank=True, db_default='', default='', editable=False, help_text="A digest of the id in the visitor's session or token.", max_length=64, verbose_name='visitor')),
                ('scope', models.CharField(blank=True, help_text="Free for a site with tenants: the tenant's name.", max_length=200, verbose_name='scope')),
                ('owner_key', models.CharField(editable=False, max_length=255, verbose_name='owner key')),
                ('uri', lingstream.models.fields.JSONTextField(default=str, help_text='Empty: the whole of it.', verbose_name='field')),
                ('uri_digest', models.CharField(editable=False, max_length=64, verbose_name='digest of the field')),
                ('value', models.SmallIntegerField(help_text='1 or -1.', validators=[django.core.validators.MinValueValidator(-1), django.core.validators.MaxValueValidator(1)], verbose_name='value')),
                ('reason', models.CharField(blank=True, max_length=100, verbose_name='reason')),
                ('comment', models.TextField(blank=True, verbose_name='comment')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created')),
                ('owner', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='owner')),
                ('run', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='feedback', to='lingstream.run', verbose_name='run')),
            ],
            options={
                'verbose_name': 'feedback',
                'verbose_name_plural': 'feedback',
                'ordering': ['-created_at'],
                'indexes': [models.Index(fields=['-created_at'], name='lingstream_feedback_new')],
                'constraints': [models.UniqueConstraint(fields=('run', 'owner_key', 'uri_digest'), name='lingstream_feedback_once')],
            },
        ),
    ]
