import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lingstream_knowledge', '0011_words_inline'),
    ]

    operations = [
        migrations.AlterField(
            model_name='source',
            name='every',
            field=models.PositiveIntegerField(blank=True, help_text='In seconds.', null=True, validators=[django.core.validators.MinValueValidator(30), django.core.validators.MaxValueValidator(31536000)], verbose_name='every'),
        ),
    ]
