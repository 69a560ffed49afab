"""Lines become messages; what is no message harms nobody and fills no memory."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.message import SessionMessage
from mcp_types import PARSE_ERROR, JSONRPCError, JSONRPCResponse

from trunkline.transport.lines import MALFORMED, LineParser


def answer(request_id: int | str, text: str = "") -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "result": {"text": text}}).encode() + b"\n"


def ids(found: list[SessionMessage | Exception]) -> list[object]:
    return [getattr(item.message, "id", None) if isinstance(item, SessionMessage) else type(item) for item in found]


def test_a_line_in_pieces_is_one_message() -> None:
    parser, line = LineParser(), answer(1)

    found = [item for byte in line for item in parser.feed(bytes([byte]))]

    assert ids(found) == [1]


@given(st.lists(st.text(max_size=20), max_size=6), st.lists(st.integers(0, 400), max_size=8))
def test_messages_come_out_whole_and_in_order_however_the_bytes_were_cut(texts: list[str], cuts: list[int]) -> None:
    stream = b"".join(answer(number, text) for number, text in enumerate(texts))
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    parser = LineParser()

    pieces = [stream[start:end] for start, end in pairwise(edges)]
    found = [item for piece in pieces for item in parser.feed(piece)]

    messages = [item.message for item in found if isinstance(item, SessionMessage)]
    assert [item.result["text"] for item in messages if isinstance(item, JSONRPCResponse)] == texts


@pytest.mark.parametrize(
    "line", [b"Segmentation fault", b"\xff\xfe\x80", b"17", b'{"jsonrpc": "2.0"}', b"[]", b'"x"', b"[" * 200_000]
)
def test_a_line_that_names_no_request_is_reported_and_the_next_one_read(line: bytes) -> None:
    found = list(LineParser().feed(line + b"\n" + answer(2)))

    assert isinstance(found[0], ValueError)
    assert ids(found[1:]) == [2]


@pytest.mark.parametrize("result", ['"words"', "17", "null", "[]"])
@pytest.mark.parametrize("request_id", [7, "seven"])
def test_a_malformed_answer_becomes_an_error_for_the_request_it_names(request_id: int | str, result: str) -> None:
    line = f'{{"jsonrpc": "2.0", "id": {json.dumps(request_id)}, "result": {result}}}\n'

    (found,) = LineParser().feed(line.encode())

    assert isinstance(found, SessionMessage)
    assert isinstance(found.message, JSONRPCError)
    assert found.message.id == request_id
    assert (found.message.error.code, found.message.error.message) == (PARSE_ERROR, MALFORMED)


@pytest.mark.parametrize("request_id", [7, "seven"])
def test_an_answer_nested_too_deeply_is_its_requests_error_where_it_says_first_whose_it_is(
    request_id: int | str,
) -> None:
    deep = "[" * 200_000 + "]" * 200_000
    answer_of = f'{{"jsonrpc": "2.0", "id": {json.dumps(request_id)}, "result": {deep}}}\n'
    asked = f'{{"jsonrpc": "2.0", "id": {json.dumps(request_id)}, "method": {deep}}}\n'

    (found,) = LineParser().feed(answer_of.encode())
    (other,) = LineParser().feed(asked.encode())

    assert isinstance(found, SessionMessage)
    assert isinstance(found.message, JSONRPCError)
    assert found.message.id == request_id
    assert isinstance(other, Exception)


def test_a_malformed_request_of_the_server_is_not_taken_for_an_answer() -> None:
    (found,) = LineParser().feed(b'{"jsonrpc": "2.0", "id": 7, "method": 9}\n')

    assert isinstance(found, Exception)


@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b"   \n"])
def test_blank_lines_are_nothing(blank: bytes) -> None:
    assert list(LineParser().feed(blank)) == []


def test_a_line_that_is_too_long_is_skipped_without_being_kept() -> None:
    parser = LineParser(max_line=100)
    found: list[SessionMessage | Exception] = []
    for _ in range(50):
        found += parser.feed(b"x" * 60)
        assert sum(map(len, parser._parts)) <= 100
    found += parser.feed(b"\n" + answer(3))

    assert ids(found) == [ValueError, 3]
    assert "more than 100 bytes" in str(found[0])


def test_a_line_of_exactly_the_longest_length_is_read() -> None:
    line = answer(4)

    assert ids(list(LineParser(max_line=len(line) - 1).feed(line))) == [4]
    assert ids(list(LineParser(max_line=len(line) - 2).feed(line))) == [ValueError]
