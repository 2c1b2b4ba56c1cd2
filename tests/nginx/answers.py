"""What an answer has to be, whole: the maintenance answer, the fallback, or the app's own."""

from typing import Optional

from ansible_collections.intermission.django.plugins.module_utils.proof import FALLBACK_MARK, MAINTENANCE_MARK, Answer

PAGE_TYPE = "text/html; charset=utf-8"


def assert_maintenance(answer: Answer, retry_after: str = "300") -> None:
    """Check for the whole maintenance answer, page included."""
    assert_error(answer, 503, MAINTENANCE_MARK, retry_after)


def assert_fallback(answer: Answer, code: int = 502) -> None:
    """Check for the whole fallback, page included."""
    assert_error(answer, code, FALLBACK_MARK, "30")


def assert_error(answer: Answer, code: int, mark: Optional[bytes], retry_after: str) -> None:
    """Check for an answer of Nginx's own: with the page that has the mark, or for None without any of the role's."""
    assert answer.status == code
    assert answer.headers["retry-after"] == retry_after
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers.keys().isdisjoint({"last-modified", "etag", "expires", "location"})
    if mark is None:
        assert b"data-intermission" not in answer.body
    else:
        assert answer.headers["content-type"] == PAGE_TYPE
        assert mark in answer.body
        assert answer.body.endswith(b"</html>\n")


def assert_app(answer: Answer, status: int = 200, asked: str = "GET /") -> None:
    """Check for the app's own answer, untouched."""
    assert answer.status == status
    assert answer.body.decode() == f"the app's own {status}: {asked}"
    assert answer.headers["retry-after"] == "7"


def assert_head_of(head: Answer, get: Answer) -> None:
    """Check that the answer to HEAD is the one to GET without its body."""
    assert head.body == b""
    assert head.status == get.status
    assert head.headers | {"date": ""} == get.headers | {"date": ""}
