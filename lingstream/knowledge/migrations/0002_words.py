"""The words of passages: FTS5 on SQLite, ``tsvector`` and GIN on PostgreSQL; elsewhere a check says what lacks.

A passage that goes takes its words along by a trigger, however it goes: by the indexer, by a cascade, by SQL.
On SQLite a migration that alters the table of passages makes a new one, and has to make the trigger again.
"""

from django.db import migrations

SQLITE = (
    """
    CREATE VIRTUAL TABLE lingstream_knowledge_words USING fts5 (marks, words, tokenize = 'porter unicode61')
    """,
    """
    CREATE TRIGGER lingstream_knowledge_words_gone AFTER DELETE ON lingstream_knowledge_chunk
    BEGIN DELETE FROM lingstream_knowledge_words WHERE rowid = old.id; END
    """,
)
NO_SQLITE = (
    "DROP TRIGGER lingstream_knowledge_words_gone",
    "DROP TABLE lingstream_knowledge_words",
)

# The dictionary stems as FTS5's `porter` does; `english` would drop stop words, of which a question may consist.
POSTGRESQL = (
    "CREATE TEXT SEARCH DICTIONARY lingstream_words (TEMPLATE = snowball, LANGUAGE = english)",
    "CREATE TEXT SEARCH CONFIGURATION lingstream_words (COPY = simple)",
    """
    ALTER TEXT SEARCH CONFIGURATION lingstream_words
    ALTER MAPPING FOR asciiword, word WITH lingstream_words
    """,
    "CREATE TABLE lingstream_knowledge_words (chunk_id bigint PRIMARY KEY, words tsvector NOT NULL)",
    "CREATE INDEX lingstream_knowledge_words_words ON lingstream_knowledge_words USING gin (words)",
    """
    CREATE FUNCTION lingstream_knowledge_words_gone() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'TRUNCATE' THEN
            DELETE FROM lingstream_knowledge_words;
        ELSE
            DELETE FROM lingstream_knowledge_words WHERE chunk_id = OLD.id;
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER lingstream_knowledge_words_gone AFTER DELETE ON lingstream_knowledge_chunk
    FOR EACH ROW EXECUTE FUNCTION lingstream_knowledge_words_gone()
    """,
    """
    CREATE TRIGGER lingstream_knowledge_words_none AFTER TRUNCATE ON lingstream_knowledge_chunk
    FOR EACH STATEMENT EXECUTE FUNCTION lingstream_knowledge_words_gone()
    """,
)
NO_POSTGRESQL = (
    "DROP TRIGGER lingstream_knowledge_words_none ON lingstream_knowledge_chunk",
    "DROP TRIGGER lingstream_knowledge_words_gone ON lingstream_knowledge_chunk",
    "DROP FUNCTION lingstream_knowledge_words_gone()",
    "DROP TABLE lingstream_knowledge_words",
    "DROP TEXT SEARCH CONFIGURATION lingstream_words",
    "DROP TEXT SEARCH DICTIONARY lingstream_words",
)


def _execute(**statements):
    def execute(apps, schema_editor):
        for statement in statements.get(schema_editor.connection.vendor, ()):
            schema_editor.execute(statement, params=None)

    return execute


class Migration(migrations.Migration):
    dependencies = [("lingstream_knowledge", "0001_initial")]

    operations = [
        migrations.RunPython(
            _execute(sqlite=SQLITE, postgresql=POSTGRESQL),
            _execute(sqlite=NO_SQLITE, postgresql=NO_POSTGRESQL),
        )
    ]
