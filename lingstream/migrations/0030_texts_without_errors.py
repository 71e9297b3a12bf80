"""The excerpt of a run's errors leaves the models: what they say is told by the run, in its reader's language.

Its column stays in the table, with its default: a process of the version before stores runs with it, and could
not without; and on SQLite the table would be made anew, with all that indexes its words.
"""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('lingstream', '0029_times_on_sqlite'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveField(model_name='runtext', name='error'),
            ],
        ),
    ]
