import lingstream.models.chats
from django.db import migrations, models


class Migration(migrations.Migration):
    """Where an answer says what could be asked next."""

    dependencies = [
        ('lingstream', '0014_chat_policies'),
    ]

    operations = [
        migrations.AddField(
            model_name='chat',
            name='suggestions_uri',
            field=models.CharField(blank=True, db_default='related_question', default='related_question', help_text='A list of texts that the chat page offers as what to say next. Empty: none.', max_length=200, validators=[lingstream.models.chats.validate_uri], verbose_name='suggestions are at'),
        ),
    ]
