import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    """Steps are not only bots; the database stays as it is."""

    dependencies = [
        ('lingstream', '0005_steps'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='botrun',
            options={'ordering': ['run', 'id'], 'verbose_name': 'step run', 'verbose_name_plural': 'step runs'},
        ),
        migrations.AlterField(
            model_name='botrun',
            name='digest',
            field=models.CharField(help_text='SHA-256 of what was asked.', max_length=64, verbose_name='digest'),
        ),
        migrations.AlterField(
            model_name='step',
            name='input',
            field=models.TextField(blank=True, default='{{ value }}', help_text='Template of what it works on, of a bot the user message. {{ value }} is what the trigger saw; a step that starts with the run rather wants {{ input.question }}.', verbose_name='input'),
        ),
        migrations.AlterField(
            model_name='step',
            name='name',
            field=models.CharField(help_text='Triggers and events name the step by it; its runs are called name#1, name#2, …', max_length=100, validators=[django.core.validators.RegexValidator('\\A[\\w-]+\\Z', 'Expected letters, digits, - and _.')], verbose_name='name'),
        ),
        migrations.AlterField(
            model_name='trigger',
            name='input',
            field=models.TextField(blank=True, help_text="Template of what it works on. Empty for the started step's own.", verbose_name='input'),
        ),
        migrations.AlterField(
            model_name='workflow',
            name='retention_days',
            field=models.PositiveIntegerField(blank=True, help_text='Days after their end; then they are deleted with their step runs. Empty: for ever.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(36500)], verbose_name='keep runs for'),
        ),
    ]
