"""What may be kept is the operator's to say; what a server says of its tools can only narrow it."""

from __future__ import annotations

from dataclasses import replace

import mcp_types as types
import pytest

from tests.unit.cache.plans import a_plan
from tests.unit.layers.calls import answer
from trunkline.cache.bodies import body_of, may_be_kept, parsed
from trunkline.cache.plan import Plan, policy_for, reads_only
from trunkline.call import ToolResult
from trunkline.policy import CachePolicy, ListingCachePolicy, ServerPolicy, ToolPolicy

TOOL = ToolPolicy(cache=CachePolicy(ttl=5.0))
SERVER = ServerPolicy(trust_annotations=True, cache=CachePolicy(ttl=7.0))
PLAIN = ToolPolicy()


def hints(**given: bool) -> types.ToolAnnotations:
    return types.ToolAnnotations.model_validate(given)


@pytest.mark.parametrize(
    ("tool", "server", "told", "ttl"),
    [
        pytest.param(PLAIN, ServerPolicy(), hints(read_only_hint=True), None, id="nobody asked for it"),
        pytest.param(TOOL, ServerPolicy(), None, 5.0, id="the operator names the tool"),
        pytest.param(TOOL, SERVER, hints(read_only_hint=True), 5.0, id="the tool's own policy comes first"),
        pytest.param(TOOL, ServerPolicy(), hints(destructive_hint=True), None, id="it says it destroys"),
        pytest.param(TOOL, ServerPolicy(), hints(read_only_hint=False), None, id="it says it changes something"),
        pytest.param(TOOL, SERVER, hints(read_only_hint=True, destructive_hint=True), None, id="it says both"),
        pytest.param(TOOL, ServerPolicy(), hints(idempotent_hint=True), 5.0, id="what is no warning narrows nothing"),
        pytest.param(PLAIN, SERVER, hints(read_only_hint=True), 7.0, id="a trusted server calls it read-only"),
        pytest.param(PLAIN, SERVER, hints(idempotent_hint=True), None, id="repeatable is not reading"),
        pytest.param(PLAIN, SERVER, None, None, id="a trusted server says nothing"),
        pytest.param(
            PLAIN, replace(SERVER, trust_annotations=False), hints(read_only_hint=True), None, id="not trusted"
        ),
        pytest.param(
            PLAIN, replace(SERVER, cache=CachePolicy()), hints(read_only_hint=True), None, id="trusted, and no ttl"
        ),
        pytest.param(
            ToolPolicy(cache=CachePolicy(enabled=False, ttl=5.0)), SERVER, hints(read_only_hint=True), None, id="off"
        ),
        pytest.param(
            PLAIN,
            replace(SERVER, cache=CachePolicy(enabled=False, ttl=7.0)),
            hints(read_only_hint=True),
            None,
            id="off for the server",
        ),
    ],
)
def test_whether_a_tools_answers_are_kept(
    tool: ToolPolicy, server: ServerPolicy, told: types.ToolAnnotations | None, ttl: float | None
) -> None:
    policy = policy_for(tool, server, told)
    assert (None if policy is None else policy.ttl) == ttl


@pytest.mark.parametrize(
    ("tool", "server", "told", "is_reading"),
    [
        pytest.param(PLAIN, ServerPolicy(), None, False, id="nothing is known"),
        pytest.param(PLAIN, ServerPolicy(), hints(read_only_hint=True), False, id="a claim of an untrusted server"),
        pytest.param(PLAIN, ServerPolicy(trust_annotations=True), hints(read_only_hint=True), True, id="a trusted one"),
        pytest.param(TOOL, ServerPolicy(), None, True, id="the operator caches it"),
        pytest.param(
            PLAIN,
            ServerPolicy(trust_annotations=True),
            hints(read_only_hint=True, destructive_hint=True),
            False,
            id="it contradicts itself",
        ),
    ],
)
def test_whether_a_tool_is_known_to_only_read(
    tool: ToolPolicy, server: ServerPolicy, told: types.ToolAnnotations | None, is_reading: bool
) -> None:
    assert reads_only(tool, server, told) is is_reading


def a_listing_plan(era: str = "2026-07-28", **hints: object) -> Plan:
    plan = a_plan(ttl=86400.0)
    plan.hints, plan.era = replace(ListingCachePolicy(), **hints), era  # type: ignore[arg-type]
    return plan


def listed(ttl_ms: int = 0, scope: str = "private") -> types.ListResourcesResult:
    return types.ListResourcesResult.model_validate({"resources": [], "ttlMs": ttl_ms, "cacheScope": scope})


def test_a_listing_is_fresh_as_long_as_its_server_says_within_the_operators_bounds() -> None:
    assert a_listing_plan().fresh_for(listed(1500)) == 1.5
    assert a_listing_plan().fresh_for(listed(0)) == 0.0
    assert a_listing_plan(min_ttl=10.0).fresh_for(listed(1500)) == 10.0
    assert a_listing_plan(max_ttl=1.0).fresh_for(listed(1500)) == 1.0


def test_hints_of_an_era_that_has_none_count_for_nothing() -> None:
    plan = a_listing_plan(era="2025-11-25", share_public=True)
    assert plan.fresh_for(listed(1500, "public")) == 0.0
    assert not plan.is_public(listed(1500, "public"))
    assert a_listing_plan(era="2025-11-25", min_ttl=3.0).fresh_for(listed(1500)) == 3.0


@pytest.mark.parametrize(
    ("share", "scope", "is_public"), [(True, "public", True), (True, "private", False), (False, "public", False)]
)
def test_what_a_server_calls_public_is_that_only_where_the_operator_agrees(
    share: bool, scope: str, is_public: bool
) -> None:
    assert a_listing_plan(share_public=share).is_public(listed(1, scope)) is is_public


def test_a_tools_answer_is_nobody_elses_whatever_the_server_says() -> None:
    assert not a_plan(ttl=5.0).is_public(listed(1, "public"))


def test_what_a_call_makes_invalid() -> None:
    plan = a_plan()
    plan.invalidates = None
    assert plan.moved("ada") != plan.moved("bob")
    assert plan.moved("ada")[0] in plan.space("ada").key({}).tags
    assert plan.moved("ada")[0] not in plan.space("bob").key({}).tags
    assert plan.moved(None)[0] in plan.space(None).key({}).tags
    plan.invalidates = ("news", "weather")
    assert plan.moved("ada") == plan.moved("bob") == ("tag:news", "tag:weather")


def test_many_principals_do_not_fill_the_memory() -> None:
    plan = a_plan()
    digests = {plan.space(f"user{number}").key({}).digest for number in range(500)}
    assert len(digests) == 500
    assert len(plan._spaces) <= 64


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        pytest.param(answer(), "", id="an answer"),
        pytest.param(answer(is_error=True), "error", id="the tool failed"),
        pytest.param(ToolResult(content=[], _meta={"cache_hint": "no-cache"}), "no-cache", id="the server says no"),
        pytest.param(ToolResult(content=[], _meta={"cache_hint": "cache"}), "", id="the server says yes"),
        pytest.param(ToolResult(content=[], result_type="input_required"), "input required", id="a question"),
        pytest.param(listed(), "", id="a listing"),
        pytest.param(types.GetPromptResult(messages=[]), "kind", id="of another kind"),
    ],
)
def test_which_answers_may_be_kept(result: types.Result, reason: str) -> None:
    assert may_be_kept(result) == reason


def test_an_answer_reads_as_it_was_given() -> None:
    result = ToolResult(
        content=[types.TextContent(text="a\x00é😀"), types.ImageContent(data="AA==", mime_type="image/png")],
        structured_content={"a": None, "b": [1, 1.5, True, 2**60]},
        _meta={"trace": "x"},
    )
    body = body_of("tools/call", result)
    assert body is not None
    assert parsed("tools/call", body) == result


@pytest.mark.parametrize("value", [float("nan"), "\ud800"])
def test_an_answer_that_would_read_as_another_is_not_kept(value: object) -> None:
    assert body_of("tools/call", ToolResult(content=[], structured_content={"value": value})) is None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"content": 1}', b"\xff", b"null"])
def test_what_is_no_answer_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"CallToolResult|ToolResult"):
        parsed("tools/call", body)


def test_a_question_that_is_never_kept_has_no_answer_to_read() -> None:
    with pytest.raises(ValueError, match="prompts/get"):
        parsed("prompts/get", b"{}")
