"""Documents as lines of a cell snapshot (`spec/cell.md §11.3`), in SQL; the layout is `exports.engine.layouts.cell`'s.

%(instance)s is the cell's id in the archive.
"""


def _id(kind: str, name: str) -> str:
    """As `id_of` of the layout: 22 characters of base64url."""
    text = f"'{kind}:' || {name}"
    return f"left(translate(encode(sha256(convert_to({text}, 'UTF8')), 'base64'), '+/', '-_'), 22)"


def _ms(column: str) -> str:
    return f"floor(extract(epoch FROM {column}) * 1000)::bigint"


#: The whole line.
USERDATA = f"""
    '{{"_index":"exportsite","_type":"UserData","_id":"' || {_id("doc", "d.doctype || '/' || d.doc_id")}
    || '","_source":{{"c":"' || %(instance)s::text || '","b":"' || %(instance)s::text
    || '","n":"' || %(instance)s::text || '","t":"' || {_id("doctype", "d.doctype")}
    || '","s":{{"__id":' || to_json(d.doc_id) || '}},"d":' || d.body::text
    || ',"h":{{"doctype":' || to_json(d.doctype) || ',"rev":' || to_json(d.rev) || '}},"l":{{}},"p":'
    || {_ms("d.created_at")} || ',"u":' || {_ms("d.updated_at")} || '}}}}'
"""
#: What follows `"_id":`. Whoever kept it knew the cell by another id, and the main box by the same.
KEPT = """
    to_json(d.doc_id) || ',"_source":' || (d.body
        || CASE WHEN d.body ? 'c' THEN jsonb_build_object('c', %(instance)s::text) ELSE '{}' END
        || CASE WHEN d.body -> 'b' = d.body -> 'c' THEN jsonb_build_object('b', %(instance)s::text) ELSE '{}' END
    )::text || '}'
"""
KEPT_BOXES = """
    SELECT d.body -> 's' ->> 'Name', d.doc_id
    FROM cells_document d JOIN cells_cell c ON c.id = d.cell_id AND c.generation = d.generation
    WHERE d.cell_id = %(cell)s AND d.doctype = %(doctype)s AND d.body -> 's' ->> 'Name' IS NOT NULL ORDER BY d.doc_id
"""
#: (id, body as text) of what imports keep of the nodes themselves.
KEPT_NODES = """
    SELECT d.doc_id, d.body::text
    FROM cells_document d JOIN cells_cell c ON c.id = d.cell_id AND c.generation = d.generation
    WHERE d.cell_id = %(cell)s AND d.doctype = %(doctype)s
"""
TOP_FOLDERS = """
    SELECT f.path FROM cells_file f JOIN cells_cell c ON c.id = f.cell_id AND c.generation = f.generation
    WHERE f.cell_id = %(cell)s AND left(f.folder, 300) = '' AND f.is_folder ORDER BY left(f.path, 300), f.path
"""
