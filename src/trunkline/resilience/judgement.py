"""What an attempt's failure says about the server: the one reading that circuits and ejection share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_types import INTERNAL_ERROR

from trunkline.call import Delivery
from trunkline.errors import CallFailed, ServerError
from trunkline.resilience.permit import Verdict

if TYPE_CHECKING:
    from trunkline.errors import CallError

__all__ = ["judge", "judge_abandoned"]


def judge(error: CallError) -> tuple[Verdict, bool]:
    """What a failed attempt says, and whether it is only a sign of overload. Refused on this side, it says nothing."""
    if not isinstance(error, CallFailed):
        return Verdict.NOTHING, False
    if isinstance(error, ServerError):
        if error.is_overload or error.error_code == INTERNAL_ERROR:
            return Verdict.FAILURE, True
        if error.delivery in (Delivery.ANSWERED, Delivery.REFUSED):
            # It answered, so it is well; what it did not like was this call.
            return Verdict.SUCCESS, False
    if error.delivery is Delivery.ANSWERED:
        return Verdict.SUCCESS, False
    return Verdict.FAILURE, False


def judge_abandoned(delivery: Delivery, now: float, deadline: float) -> Verdict:
    """What a cancelled attempt says: too slow, if its deadline passed while the server had it; else nothing."""
    return Verdict.FAILURE if delivery is Delivery.UNKNOWN and now >= deadline else Verdict.NOTHING
