"""AWS Signature Version 4 for S3, as https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html."""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


def is_bucket(name: str) -> bool:
    return _BUCKET.fullmatch(name) is not None and ".." not in name


@dataclass(frozen=True)
class Key:
    access: str
    secret: str = field(repr=False)
    region: str = "us-east-1"

    def headers(self, method: str, url: str, sha256: str, *, now: datetime | None = None) -> dict[str, str]:
        """The headers that sign a request for `url` (path and query already quoted, query sorted)."""
        stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
        parts = urlsplit(url)
        signed = {"host": parts.netloc, "x-amz-content-sha256": sha256, "x-amz-date": stamp}
        names = ";".join(signed)
        lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
        asked = "\n".join((method, parts.path or "/", parts.query, lines, names, sha256))
        scope = f"{stamp[:8]}/{self.region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(asked.encode()).hexdigest()}"
        signature = hmac.digest(self._signing_key(stamp[:8]), text.encode(), "sha256").hex()
        credential = f"AWS4-HMAC-SHA256 Credential={self.access}/{scope}, SignedHeaders={names}, Signature={signature}"
        return {"x-amz-content-sha256": sha256, "x-amz-date": stamp, "Authorization": credential}

    def _signing_key(self, day: str) -> bytes:
        key = b"AWS4" + self.secret.encode()
        for part in (day, self.region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return key
