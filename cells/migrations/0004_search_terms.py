"""What makes a search fast: the words of each document behind an index, and a queue of documents that wait for it.

A document is in the queue, or its row of words covers what it says now. So who looks for candidates takes both.
"""

import django.contrib.postgres.search
from django.contrib.postgres.indexes import GinIndex
from django.db import migrations, models

# A lexeme of PostgreSQL ends at 2,046 bytes, a vector at 1 MB; nobody can ask for words beyond 256 characters.
FUNCTIONS = r"""
CREATE FUNCTION cells_terms(cell bigint, body jsonb, more text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    given text := body::text || ' ' || more;
    mark text := '=' || cell;
BEGIN
    IF strpos(given, '\') > 0 THEN
        given := regexp_replace(given, '\\(u[0-9a-f]{4}|.)', ' ', 'g');
    END IF;
    given := cells_words(given);
    IF octet_length(given) > 500000 THEN
        RETURN array_to_tsvector(ARRAY[mark, '!']);
    END IF;
    BEGIN
        RETURN array_to_tsvector(string_to_array(btrim(given), ' ') || mark);
    EXCEPTION WHEN program_limit_exceeded THEN
        given := regexp_replace(given, '([^ ]{300})[^ ]+', '\1', 'g');
        RETURN array_to_tsvector(string_to_array(btrim(given), ' ') || mark);
    END;
END $$;
CREATE FUNCTION cells_natural(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT string_agg(CASE WHEN p[2] = '' THEN p[1] ELSE p[1] || to_char(length(p[2]), 'FM000000000') || p[2] END, ''
                      ORDER BY n)
    FROM regexp_matches(cells_fold($1), '([^0-9]*)0*([0-9]*)', 'g') WITH ORDINALITY m(p, n)
$$;
DROP FUNCTION cells_instant(text, boolean);
CREATE FUNCTION cells_instant(given text, last boolean, zone text) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    clock text := '([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?';
    offset_of text := '(Z|[+-](0[0-9]|1[0-4]):?[0-5][0-9])';
    whole text := given;
    step interval;
    first timestamp;
BEGIN
    IF given !~ ('^[0-9]{4}(-[0-9]{2}(-[0-9]{2}([T ]' || clock || offset_of || '?)?)?)?$') THEN
        RETURN NULL;
    END IF;
    step := CASE WHEN length(given) = 4 THEN interval '1 year' WHEN length(given) = 7 THEN interval '1 month'
        WHEN length(given) = 10 THEN interval '1 day' WHEN given ~ '\.' THEN interval '1 microsecond'
        WHEN given ~ '[T ][0-9]{2}:[0-9]{2}:' THEN interval '1 second' ELSE interval '1 minute' END;
    whole := whole || CASE length(whole) WHEN 4 THEN '-01-01' WHEN 7 THEN '-01' ELSE '' END;
    IF NOT pg_input_is_valid(whole, 'timestamptz') THEN
        RETURN NULL;
    END IF;
    IF length(given) > 10 AND given ~ (offset_of || '$') THEN
        first := whole::timestamptz AT TIME ZONE 'UTC';
        zone := 'UTC';
    ELSE
        first := whole::timestamp;
    END IF;
    RETURN CASE WHEN last THEN (first + step) AT TIME ZONE zone - interval '1 microsecond'
        ELSE first AT TIME ZONE zone END;
END $$;
"""
TABLES = """
CREATE TABLE cells_waitingterms (document_id bigint NOT NULL, cell_id bigint NOT NULL);
CREATE FUNCTION cells_document_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM cells_documentterms t USING old_rows r WHERE t.document_id = r.id;
    ELSE
        INSERT INTO cells_waitingterms SELECT r.id, r.cell_id FROM new_rows r;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER cells_document_terms_insert AFTER INSERT ON cells_document REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION cells_document_terms();
CREATE TRIGGER cells_document_terms_update AFTER UPDATE ON cells_document REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION cells_document_terms();
CREATE TRIGGER cells_document_terms_delete AFTER DELETE ON cells_document REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION cells_document_terms();
INSERT INTO cells_waitingterms SELECT id, cell_id FROM cells_document;
"""
GONE = """
DROP FUNCTION cells_document_terms() CASCADE;
DROP TABLE cells_waitingterms;
"""


class Migration(migrations.Migration):
    dependencies = [("cells", "0003_search")]
    operations = [
        migrations.RunSQL(FUNCTIONS, migrations.RunSQL.noop),
        migrations.CreateModel(
            name="DocumentTerms",
            fields=[
                ("document_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("terms", django.contrib.postgres.search.SearchVectorField()),
            ],
            options={"indexes": [GinIndex(fields=["terms"], name="terms_of_documents")]},
        ),
        migrations.SeparateDatabaseAndState(
            [migrations.RunSQL(TABLES, GONE)],
            [
                migrations.CreateModel(
                    name="WaitingTerms",
                    fields=[
                        ("document_id", models.BigIntegerField(primary_key=True, serialize=False)),
                        ("cell_id", models.BigIntegerField()),
                    ],
                )
            ],
        ),
    ]
