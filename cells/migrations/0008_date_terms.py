"""Dates become words of a document too: their days, written so that those of a range begin alike.

`cells/search/terms.py` asks for them by the same rule. And what all words of a document take is bounded now: numbers
were not counted, and behind 1 MB a `tsvector` finds nothing any more, without a word (`array_to_tsvector` of 18.4).
"""

from django.db import migrations

FUNCTIONS = r"""
CREATE OR REPLACE FUNCTION cells_terms(cell bigint, body jsonb, more text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    given text := body::text;
    marks text[] := ARRAY['=' || cell];
BEGIN
    IF octet_length(given) > 500000 THEN
        RETURN array_to_tsvector(marks || '!'::text);
    END IF;
    IF strpos(given, '"from": ') > 0 OR strpos(given, '"to": ') > 0 THEN
        marks := marks || '@~'::text;
    END IF;
    IF given ~ '"[0-9]{4}["-]' THEN
        marks := marks || ARRAY(SELECT '@' || rpad(replace(m[1], '-', ''), 8, '01') FROM
            regexp_matches(given, '"([0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2})?)?)["T ]', 'g') m);
    END IF;
    marks := marks || ARRAY(SELECT cells_number_term((n #>> '{}')::numeric)
                            FROM jsonb_path_query(body, 'lax $.** ? (@.type() == "number")') n);
    given := given || ' ' || more;
    IF strpos(given, '\') > 0 THEN
        given := regexp_replace(given, '\\(u[0-9a-f]{4}|.)', ' ', 'g');
    END IF;
    given := cells_words(given);
    IF octet_length(given) + octet_length(array_to_string(marks, '')) > 1000000 THEN
        RETURN array_to_tsvector(ARRAY['=' || cell, '!']);
    END IF;
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
    dependencies = [("cells", "0007_number_terms")]
    operations = [migrations.RunSQL(FUNCTIONS, migrations.RunSQL.noop)]
