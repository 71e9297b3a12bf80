from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lingstream_knowledge', '0008_filters'),
    ]

    operations = [
        migrations.AlterField(
            model_name='embedder',
            name='kind',
            field=models.CharField(help_text='Without a server and offline, or by the server of a provider.', max_length=50, verbose_name='kind'),
        ),
    ]
