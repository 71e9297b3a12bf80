import lingstream.access.policy
from django.db import migrations, models


class Migration(migrations.Migration):
    """Rows that exist keep what they say and show what they showed; new ones begin closed."""

    dependencies = [
        ('lingstream', '0002_ends_of_runs'),
    ]

    operations = [
        migrations.AddField(
            model_name='run',
            name='counted_for',
            field=models.CharField(blank=True, editable=False, help_text='Whose open run it is: the owner key, or a digest of the address where there is no owner.', max_length=255, verbose_name='counted for'),
        ),
        migrations.AddField(
            model_name='workflow',
            name='show_reasoning',
            field=models.BooleanField(default=True, help_text='Viewers get what the models think on the way. Staff find it with each bot run in any case.', verbose_name='show reasoning'),
        ),
        migrations.AlterField(
            model_name='workflow',
            name='show_reasoning',
            field=models.BooleanField(default=False, help_text='Viewers get what the models think on the way. Staff find it with each bot run in any case.', verbose_name='show reasoning'),
        ),
        migrations.AlterField(
            model_name='workflow',
            name='access',
            field=models.CharField(choices=[('anyone', 'anyone'), ('authenticated', 'signed-in users'), ('permission', 'users with the permission “Can start workflows”')], default=lingstream.access.policy.default_access, help_text='Each run costs money: “anyone” is for the whole internet, as far as the throttle lets it.', max_length=20, verbose_name='who may start it'),
        ),
    ]
