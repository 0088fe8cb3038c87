"""Numbers become words of a document too, written so that those of a range begin alike: sign, count of digits, digits.

`cells/search/terms.py` writes them by the same rule.
"""

from django.db import migrations

FUNCTIONS = r"""
CREATE OR REPLACE FUNCTION cells_number_term(numeric) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN $1 < 0 THEN '-' ELSE '+' END
        || left(to_char(length(trunc(abs($1))::text), 'FM000000') || trunc(abs($1))::text, 26)
$$;
CREATE OR REPLACE FUNCTION cells_terms(cell bigint, body jsonb, more text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    given text := body::text || ' ' || more;
    marks text[] := ARRAY['=' || cell];
BEGIN
    IF strpos(given, '\') > 0 THEN
        given := regexp_replace(given, '\\(u[0-9a-f]{4}|.)', ' ', 'g');
    END IF;
    given := cells_words(given);
    IF octet_length(given) > 500000 THEN
        RETURN array_to_tsvector(marks || '!'::text);
    END IF;
    marks := marks || ARRAY(SELECT cells_number_term((n #>> '{}')::numeric)
                            FROM jsonb_path_query(body, 'lax $.** ? (@.type() == "number")') n);
    BEGIN
        RETURN array_to_tsvector(string_to_array(btrim(given), ' ') || marks);
    EXCEPTION WHEN program_limit_exceeded THEN
        given := regexp_replace(given, '([^ ]{300})[^ ]+', '\1', 'g');
        RETURN array_to_tsvector(string_to_array(btrim(given), ' ') || marks);
    END;
END $$;
INSERT INTO cells_waitingterms SELECT id, cell_id FROM cells_document;
"""


class Migration(migrations.Migration):
    dependencies = [("cells", "0006_deletions")]
    # Both functions stay when it is taken back: words that nobody asks for do no harm.
    operations = [migrations.RunSQL(FUNCTIONS, migrations.RunSQL.noop)]
