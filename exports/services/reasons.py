"""Why something went wrong, as carriers, the egress guard and the engine write it down: in English, for programs.

People read it in their language: what a sentence names is read out of it. `tests/house/test_reasons.py` finds those
that are missing here.
"""

from collections.abc import Mapping
from functools import cache
from string import Formatter

from django.utils.translation import gettext, gettext_noop

from cells.errors import DomainError

#: Of what is our fault, as stored with runs and imports.
INTERNAL = gettext_noop("Internal error.")
#: Characters of a sentence that is looked at.
LONGEST = 2000
#: What could not be done: the `{doing}` of others.
DOING = (
    gettext_noop("write {path}"),
    gettext_noop("read {path}"),
    gettext_noop("rename {path}"),
    gettext_noop("delete {path}"),
    gettext_noop("list {path}"),
    gettext_noop("make {path}"),
    gettext_noop("look at {path}"),
    gettext_noop("give {path} up"),
    gettext_noop("ask for the size of {path}"),
    gettext_noop("log in"),
    gettext_noop("log in to {host}"),
    gettext_noop("connect to {host}"),
    gettext_noop("reach the mail server"),
    gettext_noop("send mail"),
    gettext_noop("send mail to {address}"),
    gettext_noop("read the export"),
    gettext_noop("read a part of the export"),
)
#: Whole sentences and ends of others (their `{reason}`), beside those of the domain's errors. A full stop may follow.
REASONS = (
    gettext_noop("Cannot {doing}: {reason}"),
    gettext_noop("Cannot {doing}: {code}, {reason}"),
    gettext_noop("Cannot rename {path}: {other} is a folder"),
    gettext_noop("Transport {number} ({type}) failed: {reason}"),
    gettext_noop("{host} cannot be found: {reason}"),
    gettext_noop("{host} cannot be reached: {reason}"),
    gettext_noop("{host} is not the host of this transport"),
    gettext_noop("it is not a host name"),
    gettext_noop("it leads to {address}, which is not for users to reach"),
    gettext_noop("login or password is wrong"),
    gettext_noop("Login or password is missing"),
    gettext_noop("it is forbidden"),
    gettext_noop("there is no space left"),
    gettext_noop("no reason given"),
    gettext_noop("the server wants to send us elsewhere, and redirects are not followed"),
    gettext_noop("the answer is not XML"),
    gettext_noop("the answer is longer than it may be"),
    gettext_noop("the server's own login is refused"),
    gettext_noop("the server wants one of {kinds}"),
    gettext_noop("the server has no such host key"),
    gettext_noop("the server could not do it whole"),
    gettext_noop("The server's answer is longer than it may be"),
    gettext_noop("The server's answer holds a document type"),
    gettext_noop("The server's answer has no {name}"),
    gettext_noop("The secret key is missing"),
    gettext_noop("The private key cannot be read, or its passphrase is wrong"),
    gettext_noop("The host key is not known. The server showed {key}: if that is right, put it into host_key"),
    gettext_noop("The host key is not the expected one: the server showed {key}"),
    gettext_noop("None of the recipients has an address"),
    gettext_noop("The owner has no address, or may not log in any more"),
    gettext_noop("Every try broke off"),
    gettext_noop("{name}: {count} bytes were read, {planned} are planned"),
    gettext_noop("{name}: {count} of {planned} bytes have arrived"),
    gettext_noop("{name}: what has arrived is not what was sent"),
    gettext_noop("{name} is larger than an S3 object can be"),
    gettext_noop("What was read back is not what was written"),
    gettext_noop("rsync is not installed where this worker runs"),
    gettext_noop("rsync ended with {code}: {reason}"),
    gettext_noop("{folder} is not below a folder that the administrator allows"),
    gettext_noop("The archive is not there any more"),
    gettext_noop("The export was changed"),
    gettext_noop("Its worker was lost too often"),
    # what systems say
    gettext_noop("Connection refused"),
    gettext_noop("Connection reset by peer"),
    gettext_noop("Connection timed out"),
    gettext_noop("timed out"),
    gettext_noop("The read operation timed out"),
    gettext_noop("Server disconnected without sending a response"),
    gettext_noop("Network is unreachable"),
    gettext_noop("No route to host"),
    gettext_noop("Name or service not known"),
    gettext_noop("Temporary failure in name resolution"),
    gettext_noop("No such file or directory"),
    gettext_noop("Not a directory"),
    gettext_noop("Is a directory"),
    gettext_noop("File exists"),
    gettext_noop("Permission denied"),
    gettext_noop("Read-only file system"),
    gettext_noop("No space left on device"),
    gettext_noop("Disk quota exceeded"),
    gettext_noop("certificate has expired"),
    gettext_noop("self-signed certificate"),
    gettext_noop("unable to get local issuer certificate"),
    gettext_noop("Hostname mismatch, certificate is not valid for '{host}'"),
    # of what a definition says
    gettext_noop("is required"),
    gettext_noop("is required for ssh, as in 'ssh-ed25519 AAAA…'"),
    gettext_noop("is neither like 'ssh-ed25519 AAAA…' nor like 'SHA256:…'"),
    gettext_noop("is not an address"),
    gettext_noop("is not a URL"),
    gettext_noop("is not a URL like https://files.example.org/folder"),
    gettext_noop("is not a server like ftp://files.example.org:21"),
    gettext_noop("is not a certificate in PEM form"),
    gettext_noop("is not the name of a bucket"),
    gettext_noop("is not below a folder that the administrator allows"),
    gettext_noop("is neither host::module/path, user@host:path, rsync://…, ssh://… nor /a/folder"),
    gettext_noop(
        'is neither {{"user": {{"_id"}}}}, {{"group": {{"_id"}}}} nor {{"user": {{"type": "email", "login"}}}}'
    ),
    gettext_noop("is none of {names}"),
    gettext_noop("is out of range"),
    gettext_noop("is longer than {count} characters"),
    gettext_noop("has more than {count} recipients"),
    gettext_noop("has no host or a port that cannot be"),
    gettext_noop("has no host that could be reached"),
    gettext_noop("has a user name that cannot be"),
    gettext_noop("holds control characters"),
    gettext_noop("must be a string"),
    gettext_noop("must be an array"),
    gettext_noop("must be an object"),
    gettext_noop("must be true or false"),
    gettext_noop("must be of type {name}"),
    gettext_noop("must begin with {schemes}"),
    gettext_noop("must not begin with a dash"),
    gettext_noop("must not begin with a dash, and must not hold '..'"),
    gettext_noop("must not hold empty parts, '.' or '..'"),
    gettext_noop("must not hold a login, a query or a fragment"),
    gettext_noop("must not have a path: bucket and directory are options"),
    gettext_noop("you have no cell called {name}"),
    gettext_noop("you have no stylesheet {id}"),
    gettext_noop("{name} is no time zone"),
    gettext_noop("{name} is no language, as in de or pt-br"),
    # what a carrier notes
    gettext_noop("Try {number}"),
    gettext_noop("Next try in {minutes} minutes"),
    gettext_noop("Next try in 1 minute"),
    gettext_noop("Sent to {address}"),
    gettext_noop("A recipient has no address and was skipped: {recipient}"),
    gettext_noop("More than {size}: nothing is attached, the links are sent"),
    gettext_noop("{count} files, {size} bytes have arrived"),
    gettext_noop("{name} was written, read back, compared and deleted"),
    gettext_noop("{count} archives that are not part of the export any more were deleted"),
    gettext_noop("{count} files that are not in this export were deleted"),
    gettext_noop("The server cannot list its files: those that are not in this export were left alone"),
    gettext_noop("{name} is not part of the export any more and could not be deleted: {reason}"),
    # warnings of a run
    gettext_noop("{count} of {all} entries could not be exported whole"),
    gettext_noop("And {count} more warnings of this kind"),
    gettext_noop("The link to {path}, was left out: it {reason}"),
    gettext_noop("has no such version"),
    gettext_noop("is of an older content, which has no address"),
    gettext_noop("{document}: {field} refers to {path}, and there is no such file"),
    gettext_noop("A table of {doctype} has {count} columns; values for more of them are left out"),
    gettext_noop("Document {document} reaches too many linked objects; the rest is not merged"),
    gettext_noop("Document {document} reaches more than {count} linked objects; the rest is not merged"),
    gettext_noop("Document {document} embeds {count} linked objects; others are named only"),
    gettext_noop("XLSX holds {count} characters a cell; longer texts were cut there"),
    gettext_noop("XML cannot hold control characters: they are U+FFFD in the XML files"),
    gettext_noop("The stylesheet {id} was not applied: {reason}"),
    gettext_noop("The stylesheet was not applied to {name}: {reason}"),
    gettext_noop("The stylesheet was not applied to the files behind that: {reason}"),
    gettext_noop("it is gone"),
    gettext_noop("it is too large"),
    gettext_noop("it has more than {count} bytes"),
    gettext_noop("it is none: {reason}"),
    gettext_noop("it took more memory than it may, or broke off"),
    gettext_noop("it took longer than {count} s"),
    gettext_noop("it took too long or broke off {count} times"),
    # moves between servers
    gettext_noop("its owner ended it"),
    gettext_noop("the other server ended it"),
    gettext_noop("another was asked for"),
    gettext_noop("nobody confirmed it in time"),
    gettext_noop("the cell was deleted"),
    gettext_noop("the export is gone"),
    gettext_noop("its transfer is {state}"),
    gettext_noop("it has no id"),
    gettext_noop("it has no name for the cell"),
    gettext_noop("more bytes came than were asked for"),
    gettext_noop("more than {count} bytes"),
    gettext_noop("the content {name} is another than it should be"),
    gettext_noop("the chunk {name} cannot be read back"),
    gettext_noop("contents have another length than was listed"),
    gettext_noop("{count} contents; {limit} are allowed"),
    gettext_noop("a line of the listing is longer than it may be"),
    gettext_noop("the listing is longer than it says, or out of order"),
    gettext_noop("the listing is not JSON"),
    gettext_noop("its listing is of another format"),
    gettext_noop("a content of unknown kind"),
    gettext_noop("a content of two sizes"),
    gettext_noop("{name} in the listing is no number"),
    gettext_noop("{name} in the listing is no SHA-256"),
)


def said(sentence: str) -> str:
    """In the language that is active; as it is when nothing here is like it."""
    return _said(sentence, False)


def is_known(sentence: str, *, doing: bool = False) -> bool:
    return _matched(sentence, doing) is not None


def _said(sentence: str, doing: bool) -> str:
    found = _matched(sentence, doing)
    if found is None:
        return sentence
    template, values, stop = found
    return filled(gettext(template), values).removesuffix(".") + stop


def filled(template: str, values: Mapping[str, str]) -> str:
    """`template` with values in it, of which `doing` and `reason` are put into the language that is active."""
    told = {name: _said(values[name], name == "doing") for name in values.keys() & {"doing", "reason"}}
    return "".join(words + {**values, **told}.get(name, "") for words, name in fields(template))


def _matched(sentence: str, doing: bool) -> tuple[str, dict[str, str], str] | None:
    """(template, what its fields hold, the full stop)."""
    if len(sentence) > LONGEST:
        return None
    bare = sentence.removesuffix(".")
    for template in _templates(doing):
        if (found := held(template.removesuffix("."), bare)) is not None:
            return template, found, sentence[len(bare) :]
    return None


@cache
def _templates(doing: bool) -> list[str]:
    templates = DOING if doing else (*REASONS, *error_sentences().values())
    own = {each: "".join(words for words, _ in fields(each)) for each in templates}
    speaking = [each for each in templates if any(map(str.isalpha, own[each]))]
    # What begins with words of its own is told from what begins with a value, which could be anything.
    return sorted(speaking, key=lambda each: (each[0] != "{", len(own[each])), reverse=True)


@cache
def error_sentences() -> dict[str, str]:
    """Error's code → its sentence, which `DomainError` keeps in the class's docstring."""
    kinds, found = [DomainError], {"internal": INTERNAL}
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        found |= {kind.code: kind.__doc__} if kind is not DomainError and kind.__doc__ else {}
    return found


def held(template: str, sentence: str) -> dict[str, str] | None:
    """What its fields hold, each as little as it can; None for a sentence of other words.

    Not by a regular expression: others choose the values, and 1,400 characters of them took 3 s.
    """
    names, (first, *between) = _cut(template)
    if not between:
        return {} if sentence == first else None
    at, end = len(first), len(sentence) - len(between[-1])
    if at > end or not sentence.startswith(first) or not sentence.endswith(between[-1]):
        return None
    values = []
    for words in between[:-1]:
        found = sentence.find(words, at, end)
        if found < 0:
            return None
        values.append(sentence[at:found])
        at = found + len(words)
    return dict(zip(names, [*values, sentence[at:end]], strict=True))


@cache
def _cut(template: str) -> tuple[list[str], list[str]]:
    """(names of its fields, the words before, between and behind them)."""
    names, words = [], [""]
    for text, name in fields(template):
        words[-1] += text
        if name:
            names.append(name)
            words.append("")
    return names, words


def fields(template: str) -> list[tuple[str, str]]:
    """(words, name of the value behind them, "" at the end)."""
    return [(words, name or "") for words, name, _, _ in Formatter().parse(template)]
