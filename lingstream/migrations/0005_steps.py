import django.core.validators
import lingstream.models.fields
import lingstream.models.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    """Kinds of steps beside bots; processes of the version before can still store theirs, and run bots."""

    dependencies = [
        ('lingstream', '0004_once'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='botrun',
            options={'ordering': ['run', 'id'], 'verbose_name': 'step run', 'verbose_name_plural': 'step runs'},
        ),
        migrations.AddField(
            model_name='run',
            name='kinds',
            field=models.TextField(blank=True, db_default='', default='', editable=False, help_text='What a process must know to execute it, beside bots: kinds of steps, its function.', verbose_name='needs'),
        ),
        migrations.AddField(
            model_name='run',
            name='plan_version',
            field=models.PositiveSmallIntegerField(db_default=1, default=1, verbose_name='plan version'),
        ),
        migrations.AddField(
            model_name='step',
            name='options',
            field=lingstream.models.fields.JSONTextField(blank=True, db_default={}, default=dict, help_text="Of the step's kind; a bot has none. Texts are templates.", validators=[lingstream.models.validators.validate_object], verbose_name='options'),
        ),
        migrations.AddField(
            model_name='step',
            name='retries',
            field=models.PositiveSmallIntegerField(db_default=0, default=0, help_text='How often a try that failed before it said anything is made again, 0 to 5.', validators=[django.core.validators.MaxValueValidator(5)], verbose_name='retries'),
        ),
        migrations.AddField(
            model_name='step',
            name='timeout',
            field=models.FloatField(blank=True, help_text='Seconds that one try may take. Empty: as long as the run.', null=True, validators=[django.core.validators.MinValueValidator(0.1), django.core.validators.MaxValueValidator(86400)], verbose_name='time-out'),
        ),
        migrations.AddField(
            model_name='trigger',
            name='otherwise',
            field=models.BooleanField(db_default=False, default=False, help_text='Only where no other trigger of this step, event and field starts anything.', verbose_name='otherwise'),
        ),
        migrations.AlterField(
            model_name='botrun',
            name='digest',
            field=models.CharField(help_text='SHA-256 of what was asked.', max_length=64, verbose_name='digest'),
        ),
        migrations.AlterField(
            model_name='botrun',
            name='kind',
            field=models.CharField(db_default='bot', default='bot', help_text='A kind of steps (“bot” asked a model), or “once”: a function of a workflow in Python.', max_length=50, verbose_name='kind'),
        ),
        migrations.AlterField(
            model_name='step',
            name='input',
            field=models.TextField(blank=True, default='{{ value }}', help_text='Template of what it works on, of a bot the user message. {{ value }} is what the trigger saw; a step that starts with the run rather wants {{ input.question }}.', verbose_name='input'),
        ),
        migrations.AlterField(
            model_name='step',
            name='kind',
            field=models.CharField(default='bot', help_text='What it does; a bot asks a model.', max_length=50, verbose_name='kind'),
        ),
        migrations.AlterField(
            model_name='step',
            name='name',
            field=models.CharField(help_text='Triggers and events name the step by it; its runs are called name#1, name#2, …', max_length=100, validators=[django.core.validators.RegexValidator('\\A[\\w-]+\\Z', 'Expected letters, digits, - and _.')], verbose_name='name'),
        ),
        migrations.AlterField(
            model_name='trigger',
            name='event',
            field=models.CharField(default='string-response', help_text='string-response: a text field is complete; object-response: an object or list is; joined: the step has ended, and so has all that it led to.', max_length=50, verbose_name='event'),
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
