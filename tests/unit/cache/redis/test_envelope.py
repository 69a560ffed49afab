"""What is read from a shared store is exactly what was written for this key, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.cache.envelope import Envelope, EnvelopeDamaged, pack, unpack
from trunkline.cache.keyspace import Keyspace

seconds = st.integers(0, 10**13).map(lambda micro: micro / 1_000_000)
digests = st.binary(min_size=16, max_size=16)
envelopes = st.builds(
    Envelope,
    digest=digests,
    method=st.text(max_size=60),
    stored=seconds,
    fresh_for=seconds,
    stale_for=seconds,
    kept_for=seconds,
    origin_time=seconds,
    versions=st.lists(st.binary(max_size=255), max_size=255).map(tuple),
    body=st.binary(max_size=2_000),
)


@given(envelopes)
def test_an_envelope_comes_back_as_it_went(envelope: Envelope) -> None:
    assert unpack(pack(envelope), envelope.digest) == envelope


@given(envelopes, st.data())
def test_a_changed_byte_is_noticed(envelope: Envelope, data: st.DataObject) -> None:
    packed = bytearray(pack(envelope))
    place = data.draw(st.integers(0, len(packed) - 1))
    packed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(EnvelopeDamaged):
        unpack(bytes(packed), envelope.digest)


@given(envelopes, st.data())
def test_a_shifted_or_cut_envelope_is_noticed(envelope: Envelope, data: st.DataObject) -> None:
    packed = pack(envelope)
    place = data.draw(st.integers(0, len(packed) - 1))
    changed = data.draw(
        st.sampled_from([packed[:place], packed[place + 1 :], packed[:place] + b"\0" + packed[place:], b"\n" + packed])
    )
    if changed != packed:
        with pytest.raises(EnvelopeDamaged):
            unpack(changed, envelope.digest)


@given(envelopes, digests)
def test_an_envelope_of_another_key_is_foreign(envelope: Envelope, digest: bytes) -> None:
    if digest == envelope.digest:
        return
    with pytest.raises(EnvelopeDamaged) as caught:
        unpack(pack(envelope), digest)
    assert caught.value.kind == "foreign"


@given(st.binary(max_size=500), digests)
def test_anything_else_is_no_envelope_and_nothing_worse(data: bytes, digest: bytes) -> None:
    with pytest.raises(EnvelopeDamaged):
        unpack(data, digest)
    with pytest.raises(EnvelopeDamaged):
        unpack(b"TLC\x01" + data, digest)


def test_times_that_are_none_are_kept_within_bounds() -> None:
    odd = Envelope(b"d" * 16, "tools/call", -5.0, 1e300, 0.0, 0.0, 0.0, (), b"{}")
    read = unpack(pack(odd), odd.digest)
    assert read.stored == 0.0
    assert read.fresh_for > 1e9


@given(st.text(), st.binary(min_size=1), st.text())
def test_a_sealed_version_is_read_back_for_its_own_tag_only(tag: str, version: bytes, other: str) -> None:
    keys = Keyspace("team")
    sealed = keys.tag(tag).seal(version)
    assert keys.tag(tag).unseal(sealed) == version
    if other != tag:
        assert keys.tag(other).unseal(sealed) is None


@pytest.mark.parametrize("sealed", [b"", b"\0\0\0\0", b"abc", b"1", b"what somebody else wrote"])
def test_what_is_no_sealed_version_is_none(sealed: bytes) -> None:
    assert Keyspace("team").tag("all").unseal(sealed) is None


def test_every_name_has_the_namespace_and_no_tag_in_the_clear() -> None:
    keys = Keyspace("team")
    names = [keys.backplane, keys.entry(b"d" * 16), keys.lease(b"d" * 16), keys.tag("principal:eve@example.org").key]
    assert all(name.startswith(b"trunkline:team:1:") for name in names)
    assert len(set(names)) == len(names)
    assert b"eve" not in names[-1]
    assert keys.tag("a").key != Keyspace("other").tag("a").key
