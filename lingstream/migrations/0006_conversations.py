import django.db.models.deletion
import lingstream.models.fields
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """Conversations are trees of runs; processes of the version before can still store theirs beside."""

    dependencies = [
        ('lingstream', '0005_steps'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='conversation',
            name='archived_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='archived'),
        ),
        migrations.AddField(
            model_name='conversation',
            name='count',
            field=models.PositiveIntegerField(db_default=0, default=0, help_text='How many have begun; their numbers.', verbose_name='turns'),
        ),
        migrations.AddField(
            model_name='conversation',
            name='data',
            field=lingstream.models.fields.JSONTextField(blank=True, db_default={}, default=dict, help_text='Free for the site and its client.', verbose_name='data'),
        ),
        migrations.AddField(
            model_name='conversation',
            name='deleted_at',
            field=models.DateTimeField(blank=True, help_text='Hidden at once; the rows go with the next pruning.', null=True, verbose_name='deleted'),
        ),
        migrations.AddField(
            model_name='conversation',
            name='external_id',
            field=models.CharField(blank=True, db_default='', default='', help_text='As a client or another system knows it; an owner has each once.', max_length=200, verbose_name='external id'),
        ),
        migrations.AddField(
            model_name='conversation',
            name='leaf',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='lingstream.run', verbose_name='last turn shown'),
        ),
        migrations.AddField(
            model_name='conversation',
            name='read_number',
            field=models.PositiveIntegerField(db_default=0, default=0, help_text='Number of the last turn its owner has seen.', verbose_name='read up to'),
        ),
        migrations.AddField(
            model_name='conversation',
            name='seq',
            field=models.PositiveBigIntegerField(db_default=0, default=0, help_text='How often anything of it has changed.', verbose_name='changes'),
        ),
        migrations.AddField(
            model_name='conversation',
            name='summary',
            field=lingstream.models.fields.JSONTextField(blank=True, default=None, help_text='What was said up to a turn: {"text", "until": the id of its run}.', null=True, verbose_name='summary'),
        ),
        migrations.AddField(
            model_name='conversation',
            name='title_by',
            field=models.CharField(blank=True, choices=[('', 'nobody'), ('auto', 'a model'), ('user', 'its owner')], db_default='', default='', max_length=10, verbose_name='title by'),
        ),
        migrations.AddField(
            model_name='conversation',
            name='workflow',
            field=models.CharField(blank=True, db_default='', default='', help_text='Whose input a message becomes.', max_length=100, verbose_name='workflow'),
        ),
        migrations.AddField(
            model_name='run',
            name='cause',
            field=models.CharField(choices=[('user', 'a message'), ('edit', 'an edited message'), ('regenerate', 'the same message again'), ('code', "the site's code"), ('summary', 'summary of a conversation'), ('title', 'title of a conversation')], db_default='user', default='user', max_length=20, verbose_name='cause'),
        ),
        migrations.AddField(
            model_name='run',
            name='context',
            field=lingstream.models.fields.JSONTextField(default=None, help_text='What its bots remember: messages, as they were before its first call.', null=True, verbose_name='context'),
        ),
        migrations.AddField(
            model_name='run',
            name='hidden',
            field=models.BooleanField(db_default=False, default=False, help_text='No turn that people see.', verbose_name='hidden'),
        ),
        migrations.AddField(
            model_name='run',
            name='message',
            field=lingstream.models.fields.JSONTextField(default=None, help_text='What the person sent, as parts. Empty: it is the input, or the bot spoke first.', null=True, verbose_name='message'),
        ),
        migrations.AddField(
            model_name='run',
            name='message_id',
            field=models.CharField(blank=True, db_default='', default='', help_text='As its client calls it.', max_length=200, verbose_name='message id'),
        ),
        migrations.AddField(
            model_name='run',
            name='number',
            field=models.PositiveIntegerField(db_default=0, default=0, help_text='Which turn of its conversation it is, in the order of their beginning; 0: none.', verbose_name='number'),
        ),
        migrations.AddField(
            model_name='run',
            name='parent',
            field=models.ForeignKey(blank=True, help_text='What stood before it in its conversation. Turns with the same one are alternatives.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='children', to='lingstream.run', verbose_name='turn before'),
        ),
        migrations.AddIndex(
            model_name='conversation',
            index=models.Index(fields=['owner_key', 'workflow', '-updated_at'], name='lingstream_conv_list'),
        ),
        migrations.AddIndex(
            model_name='conversation',
            index=models.Index(condition=models.Q(('deleted_at__isnull', False)), fields=['deleted_at'], name='lingstream_conv_deleted'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(fields=['conversation', 'message_id'], name='lingstream_run_message'),
        ),
        migrations.AddConstraint(
            model_name='conversation',
            constraint=models.UniqueConstraint(condition=models.Q(('external_id', ''), _negated=True), fields=('scope', 'owner_key', 'external_id'), name='lingstream_conv_external'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.UniqueConstraint(condition=models.Q(('conversation__isnull', False), ('number__gt', 0)), fields=('conversation', 'number'), name='lingstream_run_number'),
        ),
    ]
