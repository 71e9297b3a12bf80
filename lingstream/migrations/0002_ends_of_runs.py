import django.core.validators
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lingstream', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='botrun',
            name='finish',
            field=models.CharField(blank=True, help_text="Why the model stopped, in its provider's word: stop, length, …", max_length=50, verbose_name='finish reason'),
        ),
        migrations.AddField(
            model_name='trigger',
            name='partial',
            field=models.BooleanField(default=False, help_text="Start also at a field inside which a limit on its length cut the model's answer off.", verbose_name='also partial'),
        ),
        migrations.AddField(
            model_name='workflow',
            name='retention_days',
            field=models.PositiveIntegerField(blank=True, help_text='Days after their end; then they are deleted with their bot runs. Empty: for ever.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(36500)], verbose_name='keep runs for'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(fields=['workflow', 'finished_at'], name='lingstream_run_keep'),
        ),
    ]
