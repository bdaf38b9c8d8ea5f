"""What people are told of a service that refuses: its status and words, never a page of HTML."""

import anthropic
import httpx2
import pytest

from contracts.failures import FailureKind
from infra.anthropic.client import translated

PAGE = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (
            502,
            PAGE,
            FailureKind.OVERLOADED,
            "the model's service failed: 502 Bad Gateway with a page",
        ),
        (403, PAGE, FailureKind.CREDENTIALS, "answers 403 Forbidden with a page (502 Bad Gateway)"),
        (413, "", FailureKind.CONTEXT_FULL, "the request is larger than the service takes: 413"),
    ],
)
def test_a_refusal_is_told_in_words(status: int, body: str, kind: FailureKind, words: str) -> None:
    """A proxy's page and a bare 413 become a sentence that names the status."""
    response = httpx2.Response(status, text=body, request=httpx2.Request("POST", "http://m/v1"))
    failed = translated(anthropic.APIStatusError(body, response=response, body=None))

    assert failed.kind is kind
    assert words in str(failed)
    assert "<" not in str(failed)
