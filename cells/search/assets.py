"""Searching by attached files (`spec/v1.md §7.5`, `_linked._asset`): a document's `{"_file": path}` names a file."""

from cells.mediatypes import CLASSES

PREFIX = "_linked._asset."
_EXTENSION = r"lower(coalesce(substring(a.path FROM '\.([^./]+)$'), ''))"
_CLASS = (
    "CASE "
    + " ".join(f"WHEN a.content_type ~ '{pattern}' THEN '{name}'" for name, pattern in CLASSES.items())
    + " ELSE 'other' END"
)
_TIME = "to_char(a.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
#: What is not here, as technical_metadata, is not known of a file before it is opened: there is no value.
_PROPERTIES = {
    "_id": "a.id",
    "class": _CLASS,
    "extension": _EXTENSION,
    "class_extension": f"{_CLASS} || '.' || {_EXTENSION}",
    "filesize": "a.size",
    "name": r"regexp_replace(a.path, '^.*/|(?<=[^/])\.[^./]*$', '', 'g')",
    "original_filename": "substring(a.path FROM '[^/]+$')",
    "date_uploaded": _TIME,
}


def values(json: str, name: str) -> str:
    """SQL of a set of JSON values `v`: that property of each file that the JSON attaches."""
    if name not in _PROPERTIES:
        return "(SELECT NULL::jsonb AS v WHERE false)"
    return f"""(SELECT to_jsonb({_PROPERTIES[name]}) AS v FROM (
            SELECT DISTINCT ltrim(p #>> '{{}}', '/') AS path FROM jsonb_path_query({json}, 'lax $.**."_file"') p
            WHERE jsonb_typeof(p) = 'string') w
        JOIN cells_file a ON a.cell_id = d.cell_id AND a.generation = d.generation
            AND left(a.path, 300) = left(w.path, 300) AND a.path = w.path AND NOT a.is_folder)"""  # noqa: S608
