"""Conditional and partial GET."""

import random
from collections.abc import Iterator

import pytest
from django.http.response import HttpResponseBase
from django.test import RequestFactory

from cells.api.ranges import Unsatisfiable, parse_range, ranged_response
from tests.clients import content

DATA = bytes(random.Random(1).randbytes(1000))


def answer(method: str = "GET", data: bytes = DATA, **headers: str) -> HttpResponseBase:
    def chunks(start: int, end: int) -> Iterator[bytes]:
        assert method == "GET", "HEAD reads nothing"
        for at in range(start, end, 100):
            yield data[at : min(at + 100, end)]

    request = RequestFactory().generic(method, "/", **headers)
    return ranged_response(
        request, length=len(data), etag="abc", content_type="text/plain", chunks=chunks, headers={"X-Own": "1"}
    )


def test_without_a_range_the_whole_is_sent() -> None:
    whole = answer()
    assert (whole.status_code, content(whole)) == (200, DATA)
    assert (whole["Content-Length"], whole["ETag"], whole["Accept-Ranges"], whole["X-Own"]) == (
        "1000", '"abc"', "bytes", "1",
    )  # fmt: skip


def test_random_ranges_are_the_same_slice_of_the_whole() -> None:
    numbers = random.Random(2)
    for _ in range(300):
        first, last = sorted(numbers.choices(range(1200), k=2))
        if first >= len(DATA):
            continue
        for header, expected in (
            (f"bytes={first}-{last}", DATA[first : last + 1]),
            (f"bytes={first}-", DATA[first:]),
            (f"bytes=-{last + 1}", DATA[-last - 1 :]),
        ):
            part = answer(HTTP_RANGE=header)
            assert (part.status_code, content(part)) == (206, expected)
            start = len(DATA) - len(expected) if header.startswith("bytes=-") else first
            assert part["Content-Range"] == f"bytes {start}-{start + len(expected) - 1}/1000"
            assert part["Content-Length"] == str(len(expected))


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-2000", "bytes=-0", "bytes=999999999999999999-"])
def test_a_range_behind_the_end_is_416(header: str) -> None:
    refused = answer(HTTP_RANGE=header)
    assert (refused.status_code, refused["Content-Range"], content(refused)) == (416, "bytes */1000", b"")


@pytest.mark.parametrize(
    "header",
    ["bytes=5-2", "bytes=-", "bytes=", "bytes", "", "items=0-5", "bytes=a-b", "bytes=0-1,3-4", "bytes=1 - 2",
     "bytes=--5", "bytes=" + "9" * 5000 + "-", "bytes=²-³"],
)  # fmt: skip
def test_what_is_no_single_range_is_answered_with_the_whole(header: str) -> None:
    whole = answer(HTTP_RANGE=header)
    assert (whole.status_code, content(whole)) == (200, DATA) and "Content-Range" not in whole


def test_if_range_right_and_wrong() -> None:
    right = answer(HTTP_RANGE="bytes=10-19", HTTP_IF_RANGE='"abc"')
    assert (right.status_code, content(right)) == (206, DATA[10:20])
    for wrong in ('"abd"', 'W/"abc"', "abc", "Wed, 21 Oct 2015 07:28:00 GMT", ""):
        whole = answer(HTTP_RANGE="bytes=10-19", HTTP_IF_RANGE=wrong)
        assert (whole.status_code, content(whole)) == (200, DATA)
        assert answer(HTTP_RANGE="bytes=5000-", HTTP_IF_RANGE=wrong).status_code == 200


@pytest.mark.parametrize("header", ['"abc"', '"x", "abc"', 'W/"abc"', "*", '"x",W/"abc" , "y"'])
def test_if_none_match_that_matches_is_304(header: str) -> None:
    same = answer(HTTP_IF_NONE_MATCH=header, HTTP_RANGE="bytes=0-1")
    assert (same.status_code, same["ETag"], content(same)) == (304, '"abc"', b"")
    assert "Content-Length" not in same and "Content-Type" not in same


@pytest.mark.parametrize("header", ['"x"', "abc", "", '"ab", "c"', '"abc'])
def test_if_none_match_that_does_not_match_sends_the_content(header: str) -> None:
    assert content(answer(HTTP_IF_NONE_MATCH=header)) == DATA


def test_if_match() -> None:
    assert answer(HTTP_IF_MATCH='"x", "abc"').status_code == 200
    assert answer(HTTP_IF_MATCH="*").status_code == 200
    for header in ('"x"', 'W/"abc"', ""):
        assert answer(HTTP_IF_MATCH=header).status_code == 412


@pytest.mark.parametrize(
    "headers",
    [{}, {"HTTP_RANGE": "bytes=10-19"}, {"HTTP_RANGE": "bytes=-1"}, {"HTTP_RANGE": "bytes=1000-"},
     {"HTTP_IF_NONE_MATCH": "*"}, {"HTTP_IF_MATCH": '"x"'}],
)  # fmt: skip
def test_head_equals_get(headers: dict[str, str]) -> None:
    get, head = answer("GET", **headers), answer("HEAD", **headers)
    assert (head.status_code, dict(head.items())) == (get.status_code, dict(get.items()))
    assert content(head) == b""


def test_nothing_is_a_whole_too() -> None:
    assert (answer(data=b"").status_code, answer(data=b"")["Content-Length"]) == (200, "0")
    for header in ("bytes=0-", "bytes=-1", "bytes=0-0"):
        assert answer(data=b"", HTTP_RANGE=header).status_code == 416


def test_a_failure_of_the_first_chunk_is_raised_before_the_answer_begins() -> None:
    def broken(start: int, end: int) -> Iterator[bytes]:
        raise OSError
        yield b""

    with pytest.raises(OSError):
        ranged_response(RequestFactory().get("/"), length=1, etag="x", content_type="text/plain", chunks=broken)


def test_parse_range() -> None:
    assert parse_range("bytes=0-0", 1) == (0, 1)
    assert parse_range("Bytes= 2-3 ", 10) == (2, 4)
    with pytest.raises(Unsatisfiable):
        parse_range("bytes=1-", 1)
