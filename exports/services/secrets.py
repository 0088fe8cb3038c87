"""Credentials at rest: AES-256-GCM with a key that follows from SECRET_KEY (design §6)."""

import os
from collections.abc import Mapping
from functools import cache

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from exports.errors import SecretsUnreadable

#: The first byte of what is stored: how it was made.
_VERSION = b"\x01"
_NONCE = 12
_USE = b"exportsite transport secrets"


def secrets_seal(values: Mapping[str, str]) -> bytes:
    """b"" for none. Empty values are left out."""
    kept = {name: value for name, value in values.items() if value}
    if not kept:
        return b""
    nonce = os.urandom(_NONCE)
    return _VERSION + nonce + _cipher(settings.SECRET_KEY).encrypt(nonce, orjson.dumps(kept), _VERSION)


def secrets_open(sealed: bytes) -> dict[str, str]:
    """Raises SecretsUnreadable when SECRET_KEY is not the one they were sealed with."""
    sealed = bytes(sealed)
    if not sealed:
        return {}
    try:
        nonce, body = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        return orjson.loads(_cipher(settings.SECRET_KEY).decrypt(nonce, body, sealed[:1]))
    except InvalidTag as error:
        raise SecretsUnreadable from error


@cache
def _cipher(key: str) -> AESGCM:
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=_USE).derive(key.encode()))
