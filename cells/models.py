"""What people own: cells with documents and files, and the blobs that hold the bytes.

Rows of a cell carry a `generation`. Only rows of `Cell.generation` are visible; an import fills the next
generation beside it and switches the number in one transaction.
"""

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex, GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.utils import timezone

from cells.fields import PathField, start_of, unique_path


class Encoding(models.TextChoices):
    RAW = "raw"
    #: One raw DEFLATE stream with a full flush after every 1 MiB of plain bytes.
    DEFLATE = "deflate"


class Present(models.Manager["Cell"]):
    def get_queryset(self) -> models.QuerySet["Cell"]:
        return super().get_queryset().filter(removed_at=None)


class Cell(models.Model):
    """One person's (or project's) data."""

    name = models.CharField(max_length=128, unique=True, db_collation="C")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="cells")
    #: Bytes that documents, files and old versions may fill together; null is no limit.
    quota = models.BigIntegerField(null=True)
    #: When it last showed another generation: all of it counts as written then.
    switched_at = models.DateTimeField(null=True)
    generation = models.PositiveIntegerField(default=1)
    #: Counts the names it has had, for ETags (`spec/cell.md §13.1`).
    version = models.PositiveIntegerField(default=1)
    #: Since when nobody may write it: it moves to another server, or another's moves into it (`cells.quota`).
    held_at = models.DateTimeField(null=True)
    #: Where it is now, without a slash at the end. What is here is what it was then.
    moved_to = models.CharField(max_length=2000, default="", db_default="", blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    #: When it was deleted: nobody sees it any more, and its rows go by and by (`cells.removing`).
    removed_at = models.DateTimeField(null=True)

    every = models.Manager()
    objects = Present()

    class Meta:
        default_manager_name = "objects"
        constraints = [models.CheckConstraint(condition=models.Q(quota__gte=0), name="cell_quota_not_negative")]

    def __str__(self) -> str:
        return self.name


class Usage(models.Model):
    """Bytes that documents, files and old versions of one generation fill.

    Kept right by triggers (`migrations/0002_usage.py`), whoever writes; a writer holds this row until it commits.
    """

    pk = models.CompositePrimaryKey("cell", "generation")
    cell = models.ForeignKey(Cell, on_delete=models.CASCADE, related_name="usage", db_index=False)
    generation = models.PositiveIntegerField()
    bytes = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.bytes} bytes of generation {self.generation}"


class Document(models.Model):
    """One JSON document, named by doctype and id inside a cell."""

    cell = models.ForeignKey(Cell, on_delete=models.CASCADE, related_name="documents", db_index=False)
    generation = models.PositiveIntegerField()
    doctype = models.CharField(max_length=128, db_collation="C")
    doc_id = models.CharField(max_length=256, db_collation="C")
    #: `<n>-<md5 of the stored body>`: n counts the writes, as CouchDB does (`spec/move.md §3`).
    rev = models.CharField(max_length=64)
    body = models.JSONField()
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cell", "generation", "doctype", "doc_id"], name="document_once")
        ]
        # Documents lie in the order in which they were written: some KB tell where a time is, and cost writers nothing.
        indexes = [
            BrinIndex(fields=["created_at"], name="document_by_creation", pages_per_range=32, autosummarize=True),
            BrinIndex(fields=["updated_at"], name="document_by_change", pages_per_range=32, autosummarize=True),
        ]

    def __str__(self) -> str:
        return f"{self.doctype}/{self.doc_id}"


class Deletion(models.Model):
    """What a cell showed and shows no more. See `cells.deletions`."""

    #: Checked by nobody: a check of each of 300,000 rows would come at the commit of a switch, which holds the cell.
    cell = models.ForeignKey(
        Cell, on_delete=models.CASCADE, related_name="deletions", db_index=False, db_constraint=False
    )
    #: "" for files and folders.
    doctype = models.CharField(max_length=128, db_collation="C")
    #: A document's id, or a path; a folder's ends in a slash.
    name = PathField()
    #: Of a document.
    object_id = models.BigIntegerField(null=True)
    deleted_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["cell", "deleted_at"], name="deletion_by_time")]

    def __str__(self) -> str:
        return f"{self.doctype} {self.name}".lstrip()


class DocumentTerms(models.Model):
    """The folded words of a document, for `cells.search`: more than it says is harmless, less would lose it.

    The document may be gone already: a sweep takes such rows.
    """

    document_id = models.BigIntegerField(primary_key=True)
    terms = SearchVectorField()

    class Meta:
        indexes = [GinIndex(fields=["terms"], name="terms_of_documents")]

    def __str__(self) -> str:
        return f"terms of document {self.document_id}"


class WaitingTerms(models.Model):
    """A document, written by a trigger (`migrations/0004_search_terms.py`), whose `DocumentTerms` are not yet right.

    In the database it has no key and no index: nothing is cheaper to write. A document may wait twice.
    """

    document_id = models.BigIntegerField(primary_key=True)
    cell_id = models.BigIntegerField()

    def __str__(self) -> str:
        return f"document {self.document_id}"


class Blob(models.Model):
    """The bytes of one content, named by its SHA-256; stored once, in one encoding, never overwritten.

    `size` and `crc32` speak of the plain bytes, `stored_size` and `stored_crc32` of the bytes on disk.
    The place is `store_file` (relative to the blob store's root) and `offset`; it may change when a pack is
    rewritten, the stored bytes may not.
    """

    sha256 = models.CharField(max_length=64, primary_key=True, db_collation="C")
    size = models.BigIntegerField()
    crc32 = models.BigIntegerField()
    encoding = models.CharField(max_length=8, choices=Encoding.choices)
    stored_size = models.BigIntegerField()
    stored_crc32 = models.BigIntegerField()
    store_file = models.CharField(max_length=128, db_collation="C")
    offset = models.BigIntegerField()
    #: Little-endian u64 each: where plain MiB 1, 2, 3 … begin in the stored stream. Empty for raw or ≤ 1 MiB.
    points = models.BinaryField(default=b"")
    #: Last time somebody put this content; the sweeper leaves anything younger than a day alone.
    touched_at = models.DateTimeField(default=timezone.now)
    #: When the sweeper first found that nobody refers to it; freezes and downloads that began before may still read it.
    unreferenced_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["store_file"], name="blob_by_store_file")]

    def __str__(self) -> str:
        return self.sha256


class File(models.Model):
    """A file or a folder of a cell. Folders have rows of their own, so empty ones survive."""

    cell = models.ForeignKey(Cell, on_delete=models.CASCADE, related_name="files", db_index=False)
    generation = models.PositiveIntegerField()
    #: As `validators.normal_path` leaves it: no leading or trailing slash.
    path = PathField()
    #: The path of the folder that holds it, "" at the top.
    folder = PathField()
    is_folder = models.BooleanField(default=False)
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, null=True, related_name="+", db_column="sha256")
    size = models.BigIntegerField(default=0)
    mtime = models.DateTimeField()
    executable = models.BooleanField(default=False)
    content_type = models.CharField(max_length=127, default="application/octet-stream")
    #: Counts the contents this path has had; old ones are FileVersion rows.
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint("cell", "generation", *unique_path("path"), name="file_once"),
            models.CheckConstraint(
                condition=models.Q(is_folder=True, blob=None) | models.Q(is_folder=False, blob__isnull=False),
                name="file_has_a_blob_unless_folder",
            ),
        ]
        indexes = [
            models.Index("cell", "generation", start_of("folder"), start_of("path"), name="file_by_folder"),
            BrinIndex(fields=["updated_at"], name="file_by_change", pages_per_range=32, autosummarize=True),
        ]

    def __str__(self) -> str:
        return self.path


class FileVersion(models.Model):
    """A content that a file had before it was overwritten."""

    file = models.ForeignKey(File, on_delete=models.CASCADE, related_name="versions")
    version = models.PositiveIntegerField()
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+", db_column="sha256")
    size = models.BigIntegerField()
    mtime = models.DateTimeField()
    content_type = models.CharField(max_length=127)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["file", "version"], name="file_version_once")]

    def __str__(self) -> str:
        return f"version {self.version}"


class SnapshotFile(models.Model):
    """A file of a cell's snapshot area (`spec/cell.md §12`). It lies outside of generations, exports and quotas' usage.

    Its content is a blob that somebody uploaded, the archive of a run, or why there is none.
    """

    cell = models.ForeignKey(Cell, on_delete=models.CASCADE, related_name="snapshots", db_index=False)
    name = models.CharField(max_length=255, db_collation="C")
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, null=True, related_name="+", db_column="sha256")
    #: Not a foreign key: this app knows no runs.
    run_id = models.BigIntegerField(null=True)
    #: {"code", "message"}: the content is what a dialect makes of it.
    error = models.JSONField(null=True)
    #: False: the name is taken for what a run will put here, and nobody sees it.
    ready = models.BooleanField(default=True)
    #: Of an error null.
    size = models.BigIntegerField(null=True)
    content_type = models.CharField(max_length=127)
    #: Counts the contents it has had.
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cell", "name"], name="snapshot_once"),
            models.CheckConstraint(
                condition=models.Q(blob__isnull=False, run_id=None, error=None)
                | models.Q(blob=None, run_id__isnull=False, error=None)
                | models.Q(blob=None, run_id=None, error__isnull=False),
                name="snapshot_has_one_content",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class AccessToken(models.Model):
    """A bearer of rights: a v1 session, or a token made for a program. Only its SHA-256 is kept."""

    digest = models.CharField(max_length=64, primary_key=True)
    #: Null: a session that has not authenticated yet (`spec/v1.md §2.1`).
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="tokens")
    #: Set: the token is good for this cell only.
    cell = models.ForeignKey(Cell, on_delete=models.CASCADE, null=True, related_name="tokens")
    #: `session` (everything its user may do through v1), `root` on a cell, `io.cozy.exports`, …
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now)
    authenticated_at = models.DateTimeField(null=True)
    #: A session's expiry moves on with each authenticated call; a program's token has a fixed one, or none.
    expires_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    language = models.CharField(max_length=16, default="en-US")

    def __str__(self) -> str:
        return f"token of {self.user}"
