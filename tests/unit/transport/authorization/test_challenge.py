"""What WWW-Authenticate says, in every way in which servers write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.transport.authorization.challenge import Challenge, read_challenge

METADATA = "https://server/.well-known/oauth-protected-resource"


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([], Challenge()),
        (["Bearer"], Challenge()),
        ([f'Bearer resource_metadata="{METADATA}"'], Challenge(METADATA)),
        ([f'bearer realm="x, y", Resource_Metadata = "{METADATA}"'], Challenge(METADATA)),
        ([f"Bearer resource_metadata={METADATA}"], Challenge(METADATA)),
        (['Bearer error="insufficient_scope", scope="a b"'], Challenge(None, ("a", "b"), "insufficient_scope")),
        (['Basic realm="x", Bearer scope="a"'], Challenge(None, ("a",))),
        (['Basic realm="x"', 'Bearer scope="a"'], Challenge(None, ("a",))),
        (['Bearer scope="a", Basic realm="x", scope="b"'], Challenge(None, ("a",))),
        (['Bearer scope="a"', 'Bearer scope="b"'], Challenge(None, ("a",))),
        (['Digest scope="a"'], Challenge()),
        ([r'Bearer scope="a\"b"'], Challenge(None, ('a"b',))),
        (['Bearer scope="unterminated'], Challenge()),
        (['Bearer scope="ü a"'], Challenge(None, ("a",))),
    ],
)
def test_the_first_bearer_challenge_counts(headers: list[str], found: Challenge) -> None:
    assert read_challenge(headers) == found


ODD = st.text(max_size=200)


@given(st.lists(ODD | ODD.map(lambda text: f'Bearer scope="{text}"'), max_size=4))
def test_no_header_is_too_odd_to_be_read(headers: list[str]) -> None:
    read = read_challenge(headers)
    assert all(scope and " " not in scope for scope in read.scopes)
