"""Whether the answers of a create-once register are those of some order of its calls: linearizability of one key.

The register is what claims and done-marks are made of: `create` writes a value unless there is one and says whether it
did, `read` returns the value or None. Wing and Gong (1993) search for an order of the calls that gives their answers,
where a call that ended before another began comes first. For this register no search is needed:

- before the create that succeeded, every create would succeed and every read return None; after it, creates fail and
  reads return its value. So an order is: reads of None, the create, all other calls;
- it gives the answers if at most one create succeeded, every read returns None or the value that was created, and no
  call of the first part begins after one of the last has ended, the create between them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Call", "explain"]


@dataclass(frozen=True)
class Call:
    """A call of the register, as one client saw it."""

    began: float
    ended: float
    """By one clock for all clients. Infinite if there was no answer: it may take effect at any time, or never."""
    value: str | None
    """What was to be created; what was read."""
    creates: bool
    made: bool | None = None
    """Whether a create says that it made the object; None: no answer."""


def explain(calls: Iterable[Call]) -> str:
    """Why no order of the calls gives their answers; empty if one does."""
    calls = list(calls)
    made = [call for call in calls if call.made]
    if len(made) > 1:
        return f"{len(made)} creates succeeded"
    before = [call for call in calls if not call.creates and call.value is None]
    after = [call for call in calls if (call.creates and call.made is False) or (not call.creates and call.value)]
    values = {call.value for call in after if not call.creates}
    if len(values) > 1:
        return "reads returned different values"
    writer = made[0] if made else None
    if writer is None and after:
        # A create without an answer may have taken effect; if a value was read, the one that has it.
        lost = [call for call in calls if call.creates and call.made is None and (not values or call.value in values)]
        writer = min(lost, key=lambda call: call.began, default=None)
        if writer is None:
            return "a value is there that nobody created"
    if writer is None:
        return ""
    if values and values != {writer.value}:
        return "a read returned another value than the one that was created"
    # The create takes effect at one moment, within itself, not before a call of the first part began, and not after one
    # of the last part ended.
    first = max([writer.began, *(call.began for call in before)])
    last = min([writer.ended, *(call.ended for call in after)])
    return "" if first <= last else "a call shows the object after it had been missing, or before it was made"
