"""Functions that a search calls (`cells/search`): folded words, the values at a path, instants of dates."""

import unicodedata
from itertools import groupby

from django.db import migrations


def _ranges(wanted) -> str:
    """A regular expression's character class without brackets; NUL and surrogates cannot be in a text."""
    codes = [c for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000 and wanted(chr(c))]
    runs = []
    for _, group in groupby(enumerate(codes), lambda pair: pair[1] - pair[0]):
        run = [code for _, code in group]
        runs.append(f"\\U{run[0]:08x}" + (f"-\\U{run[-1]:08x}" if len(run) > 1 else ""))
    return "".join(runs)


MARKS = _ranges(unicodedata.combining)
#: Letters that are written small and are another letter's form all the same.
VARIANTS = "ς" + "".join(map(chr, range(0x1C80, 0x1C89)))
WORDLY = _ranges(lambda c: unicodedata.category(c)[0] in "LNM")

# lower() of the builtin provider is the same on every machine; most texts are ASCII and need none of this.
FUNCTIONS = rf"""
CREATE FUNCTION cells_fold(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN octet_length($1) = char_length($1) THEN lower($1)
    ELSE translate(replace(lower(regexp_replace(normalize($1, NFKD), '[{MARKS}]+', '', 'g') COLLATE "pg_c_utf8"),
                           'ß', 'ss'), '{VARIANTS}', '{VARIANTS.casefold()}') END
$$;
CREATE FUNCTION cells_words(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT ' ' || btrim(CASE WHEN octet_length($1) = char_length($1)
        THEN regexp_replace(lower($1), '[^a-z0-9]+', ' ', 'g')
        ELSE regexp_replace(cells_fold($1), '[^{WORDLY}]+', ' ', 'g') END) || ' '
$$;
CREATE FUNCTION cells_translated(jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT jsonb_typeof($1) = 'object' AND $1 <> '{{}}' AND NOT EXISTS (
        SELECT FROM jsonb_each(CASE jsonb_typeof($1) WHEN 'object' THEN $1 END) e
        WHERE e.key !~ '^[a-z]{{2,3}}-[A-Z]{{2}}$' OR jsonb_typeof(e.value) NOT IN ('string', 'null'))
$$;
CREATE FUNCTION cells_values(jsonb, jsonpath, languages text[]) RETURNS SETOF jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(l.value, v) FROM jsonb_path_query($1, $2) v LEFT JOIN LATERAL jsonb_each(
        CASE WHEN jsonb_typeof(v) = 'object' AND cells_translated(v) THEN v END) l ON true
    WHERE l.key IS NULL OR $3 IS NULL OR l.key = ANY($3)
$$;
CREATE FUNCTION cells_instant(given text, last boolean) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    clock text := '([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{{1,6}})?)?';
    whole text := given;
    step interval;
    found timestamp;
BEGIN
    IF given !~ ('^[0-9]{{4}}(-[0-9]{{2}}(-[0-9]{{2}}([T ]' || clock || '(Z|[+-](0[0-9]|1[0-4]):?[0-5][0-9])?)?)?)?$') THEN
        RETURN NULL;
    END IF;
    step := CASE WHEN length(given) = 4 THEN interval '1 year' WHEN length(given) = 7 THEN interval '1 month'
        WHEN length(given) = 10 THEN interval '1 day' WHEN given ~ '\.' THEN interval '1 microsecond'
        WHEN given ~ '[T ][0-9]{{2}}:[0-9]{{2}}:' THEN interval '1 second' ELSE interval '1 minute' END;
    whole := whole || CASE length(whole) WHEN 4 THEN '-01-01' WHEN 7 THEN '-01' ELSE '' END;
    IF length(whole) = 10 OR whole !~ '(Z|[+-][0-9]{{2}}:?[0-9]{{2}})$' THEN
        whole := whole || CASE WHEN length(whole) = 10 THEN 'T00:00' ELSE '' END || 'Z';
    END IF;
    IF NOT pg_input_is_valid(whole, 'timestamptz') THEN
        RETURN NULL;
    END IF;
    found := whole::timestamptz AT TIME ZONE 'UTC';
    RETURN (CASE WHEN last THEN found + step - interval '1 microsecond' ELSE found END) AT TIME ZONE 'UTC';
END $$;
"""
GONE = """
DROP FUNCTION cells_instant(text, boolean);
DROP FUNCTION cells_values(jsonb, jsonpath, text[]);
DROP FUNCTION cells_translated(jsonb);
DROP FUNCTION cells_words(text);
DROP FUNCTION cells_fold(text);
"""


class Migration(migrations.Migration):
    dependencies = [("cells", "0002_usage")]
    operations = [migrations.RunSQL(FUNCTIONS, GONE)]
