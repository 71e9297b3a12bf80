import django.db.models.deletion
import lingstream.models.chats
from django.db import migrations, models


class Migration(migrations.Migration):
    """How workflows are talked to."""

    dependencies = [
        ('lingstream', '0008_visitors'),
    ]

    operations = [
        migrations.CreateModel(
            name='Chat',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('input_uri', models.CharField(blank=True, default='question', help_text="Where a message's text goes in the input. Empty: the text is the input.", max_length=200, validators=[lingstream.models.chats.validate_uri], verbose_name='message goes to')),
                ('answer_uri', models.CharField(blank=True, default='answer', help_text='The field that is remembered of an answer; a document without it is, as JSON.', max_length=200, validators=[lingstream.models.chats.validate_uri], verbose_name='answer is at')),
                ('anonymous', models.BooleanField(default=True, help_text='Without a login, where they may start the workflow at all.', verbose_name='visitors too')),
                ('history_tokens', models.PositiveIntegerField(default=8000, help_text='Tokens of the conversation that bots with history get, about.', verbose_name='history')),
                ('summarize', models.BooleanField(default=True, help_text='A model sums up what is too long for the history.', verbose_name='summaries')),
                ('titles', models.BooleanField(default=True, help_text='A model gives a title after the first turn.', verbose_name='titles')),
                ('attachments', models.CharField(choices=[('none', 'nothing'), ('images', 'images'), ('files', 'files of all kinds')], default='none', max_length=10, verbose_name='attachments')),
                ('max_files', models.PositiveSmallIntegerField(default=5, help_text='Of one message.', verbose_name='most files')),
                ('max_size', models.PositiveIntegerField(default=5000000, help_text='In bytes.', verbose_name='largest file')),
                ('workflow', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='chat', to='lingstream.workflow', verbose_name='workflow')),
            ],
            options={
                'verbose_name': 'chat',
                'verbose_name_plural': 'chats',
            },
        ),
    ]
