"""The domain's errors. Each has a code for programs and a message for people; no dialect's words, no HTTP."""

from enum import Enum


class Kind(Enum):
    """What sort of answer an error deserves; every dialect has a default shape for each."""

    INVALID = "invalid"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    #: A condition of the caller (`If-Match`, a digest header) does not hold.
    PRECONDITION = "precondition"
    TOO_LARGE = "too_large"
    UNAVAILABLE = "unavailable"


class DomainError(Exception):
    """Base of all. The subclass's docstring is the message, formatted with `params`."""

    code: str
    kind: Kind = Kind.INVALID

    def __init__(self, **params: object) -> None:
        self.params = params
        super().__init__((self.__doc__ or self.code).format(**params))


class NameRefused(DomainError):
    """{what} {name!r} cannot be used: {reason}."""

    code = "name_refused"


class NameTaken(DomainError):
    """There is a cell called {name!r} already."""

    code = "name_taken"
    kind = Kind.CONFLICT


class CellNotFound(DomainError):
    """Cell {name!r} not found."""

    code = "cell_not_found"
    kind = Kind.NOT_FOUND


class CellHeld(DomainError):
    """Cell {name!r} is moving between two servers, and cannot be written until that has ended."""

    code = "cell_held"
    kind = Kind.CONFLICT


class CellMoved(DomainError):
    """Cell {name!r} has moved to {url}."""

    code = "cell_moved"
    kind = Kind.CONFLICT


class DocumentNotFound(DomainError):
    """Document {doctype}/{doc_id} not found."""

    code = "document_not_found"
    kind = Kind.NOT_FOUND


class FileNotFound(DomainError):
    """{path!r} not found."""

    code = "file_not_found"
    kind = Kind.NOT_FOUND


class DocumentRefused(DomainError):
    """Line {line}: {reason}."""

    code = "document_refused"


class PathTaken(DomainError):
    """{path!r} is in the way: {reason}."""

    code = "path_taken"
    kind = Kind.CONFLICT


class QuotaExceeded(DomainError):
    """The cell's quota of {quota} bytes leaves no room: {used} bytes are used and {needed} more are needed."""

    code = "quota_exceeded"
    kind = Kind.TOO_LARGE


class PreconditionFailed(DomainError):
    """The stored version is {actual}, not {expected}."""

    code = "precondition_failed"
    kind = Kind.PRECONDITION


class DigestMismatch(DomainError):
    """The body's {algorithm} is {actual}, the header says {expected}."""

    code = "digest_mismatch"


class BodyIncomplete(DomainError):
    """The body ended after {received} of {expected} bytes."""

    code = "body_incomplete"


class ReadOnly(DomainError):
    """This server takes no new content for now; reading and deleting are possible."""

    code = "read_only"
    kind = Kind.CONFLICT


class BlobDamaged(DomainError):
    """The stored bytes of blob {sha256} are damaged: {reason}."""

    code = "blob_damaged"
    kind = Kind.UNAVAILABLE


class NoSpace(DomainError):
    """There is no space left on {mount}."""

    code = "no_space"
    kind = Kind.UNAVAILABLE


class NotAuthenticated(DomainError):
    """This needs an authenticated session."""

    code = "not_authenticated"
    kind = Kind.FORBIDDEN


class AccessDenied(DomainError):
    """The token is not good for {what}."""

    code = "access_denied"
    kind = Kind.FORBIDDEN


class SessionNotFound(DomainError):
    """There is no session with this token."""

    code = "session_not_found"


class SessionInvalid(DomainError):
    """The session has expired."""

    code = "session_invalid"


class LanguageNotFound(DomainError):
    """There is no language {id!r}."""

    code = "language_not_found"


class CredentialsMissing(DomainError):
    """Login and password must not be empty."""

    code = "credentials_missing"


class LoginFailed(DomainError):
    """Login or password is wrong."""

    code = "login_failed"


class LoginDisabled(DomainError):
    """This account may not log in."""

    code = "login_disabled"


class LoginBlocked(DomainError):
    """Too many failed logins: this account has to wait."""

    code = "login_blocked"


class LoginMethodRefused(DomainError):
    """Authentication method {method!r} is not allowed."""

    code = "login_method_refused"


class SnapshotTaken(DomainError):
    """File [{name}] already exists."""

    code = "snapshot_taken"
    kind = Kind.CONFLICT


class SnapshotsFull(DomainError):
    """The snapshot area holds {limit} files already."""

    code = "snapshots_full"


class CellNotEmpty(DomainError):
    """Cell {name!r} is not empty."""

    code = "cell_not_empty"
    kind = Kind.CONFLICT
