"""The pages, all under /web/. Passkeys stand behind `download/`, where every log leaves them out."""

from django.urls import path, re_path

from exports.web import account, cells, contents, errors, export, exports, imports, links, signin, snapshots

app_name = "web"

urlpatterns = [
    path("", exports.exports_list, name="exports"),
    path("sign-in", signin.sign_in, name="sign-in"),
    path("sign-out", signin.sign_out, name="sign-out"),
    path("exports/new", exports.export_new, name="export-new"),
    path("exports/preview", exports.preview, name="export-preview"),
    path("exports/<int:id>/", export.export_show, name="export"),
    path("exports/<int:id>/live", export.export_live, name="export-live"),
    path("exports/<int:id>/edit", exports.export_edit, name="export-edit"),
    path("exports/<int:id>/delete", export.export_delete, name="export-delete"),
    path("exports/<int:id>/start", export.export_start, name="export-start"),
    path("exports/<int:id>/stop", export.export_stop, name="export-stop"),
    path("exports/<int:id>/renew", export.links_renew, name="export-renew"),
    path("exports/<int:id>/transports/<uuid:uuid>/test", export.transport_test, name="export-transport-test"),
    path("exports/<int:id>/transports/<uuid:uuid>/retry", export.transport_retry, name="export-transport-retry"),
    path("exports/<int:id>/contents", contents.contents, name="contents"),
    path("exports/<int:id>/contents/raw", contents.content_raw, name="content-raw"),
    path("exports/<int:id>/contents/zip", contents.content_archive, name="content-archive"),
    path("exports/<int:id>/download/<str:passkey>/", links.links, name="links"),
    path("cells/", cells.cells_list, name="cells"),
    path("cells/<str:name>/", cells.cell_show, name="cell"),
    path("cells/<str:name>/counts", cells.cell_counts, name="cell-counts"),
    path("cells/<str:name>/documents", cells.cell_documents, name="cell-documents"),
    path("cells/<str:name>/raw", cells.cell_raw, name="cell-raw"),
    path("cells/<str:name>/upload", cells.cell_upload, name="cell-upload"),
    path("cells/<str:name>/folder", cells.cell_folder, name="cell-folder"),
    path("cells/<str:name>/remove", cells.cell_remove, name="cell-remove"),
    path("cells/<str:name>/import", imports.import_page, name="cell-import"),
    path("cells/<str:name>/import/choose", imports.import_choose, name="cell-import-choose"),
    path("cells/<str:name>/import/check", imports.import_check, name="cell-import-check"),
    path("cells/<str:name>/import/start", imports.import_start, name="cell-import-start"),
    path("cells/<str:name>/import/undo", imports.import_undo, name="cell-import-undo"),
    path("cells/<str:name>/import/live", imports.import_live, name="cell-import-live"),
    path("cells/<str:name>/snapshots", snapshots.snapshots_page, name="cell-snapshots"),
    path("cells/<str:name>/snapshots/live", snapshots.snapshots_live, name="cell-snapshots-live"),
    path("cells/<str:name>/snapshots/raw", snapshots.snapshot_raw, name="cell-snapshot"),
    path("cells/<str:name>/snapshots/remove", snapshots.snapshot_remove, name="cell-snapshot-remove"),
    path("account", account.account, name="account"),
    path("account/preferences", account.preferences, name="account-preferences"),
    path("account/password", account.password, name="account-password"),
    path("account/tokens/new", account.token_new, name="account-token-new"),
    path("account/tokens/revoke", account.token_revoke, name="account-token-revoke"),
    re_path(r"^.*$", errors.not_found),
]
