import django.db.models.deletion
import django.utils.timezone
import lingstream.models.attachments
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """Files that people attach to their messages."""

    dependencies = [
        ('lingstream', '0010_feedback'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Attachment',
            fields=[
                ('session_key', models.CharField(blank=True, max_length=100, verbose_name='session')),
                ('visitor', models.CharField(blank=True, db_default='', default='', editable=False, help_text="A digest of the id in the visitor's session or token.", max_length=64, verbose_name='visitor')),
                ('scope', models.CharField(blank=True, help_text="Free for a site with tenants: the tenant's name.", max_length=200, verbose_name='scope')),
                ('owner_key', models.CharField(editable=False, max_length=255, verbose_name='owner key')),
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('file', models.FileField(max_length=200, storage=lingstream.models.attachments.attachment_storage, upload_to=lingstream.models.attachments.random_name, verbose_name='file')),
                ('name', models.CharField(max_length=255, verbose_name='name')),
                ('content_type', models.CharField(max_length=100, verbose_name='type')),
                ('size', models.PositiveBigIntegerField(help_text='In bytes.', verbose_name='size')),
                ('sha256', models.CharField(max_length=64, verbose_name='SHA-256')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created')),
                ('conversation', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='attachments', to='lingstream.conversation', verbose_name='conversation')),
                ('owner', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='owner')),
                ('run', models.ForeignKey(blank=True, help_text='The first one whose message has it. Empty: it waits for its message, for a day.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='attachments', to='lingstream.run', verbose_name='turn')),
            ],
            options={
                'verbose_name': 'attachment',
                'verbose_name_plural': 'attachments',
                'ordering': ['-created_at'],
                'indexes': [models.Index(condition=models.Q(('run', None)), fields=['created_at'], name='lingstream_file_waits')],
            },
        ),
    ]
