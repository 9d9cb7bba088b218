"""What a domain asks of payloads: nothing, that those of installed profiles are valid, or that each has one."""

import re
from dataclasses import replace

from iec62746.domain import OWN_NOUNS, Domain
from iec62746.envelope import inflate
from iec62746.errors import EnvelopeError, InvalidMessage, Rule, UnknownProfile
from iec62746.limits import Limits
from iec62746.message import Message, Payload
from iec62746.profiles import Profiles, namespace_of

_KEPT = 256
# A whole start tag, no comment, and no > within an attribute: whatever begins so has that namespace.
_TAG = re.compile(rb"""<[^!?'"<>]{1,128}(?:"[^"<>]{0,128}"[^'"<>]{0,128}){0,8}>""")


class Payloads:
    """The schemas of payloads, at the edges of one party: routing looks into none."""

    def __init__(self, domain: Domain, profiles: Profiles) -> None:
        """Check as `domain` has it, by `profiles`."""
        self._is_off, self._must_be_known = domain.payloads == "any", domain.payloads == "known"
        self._profiles, self._limits, self._name = profiles, domain.limits, domain.name
        # An element out of Compressed may be larger than a message.
        self._item_limits = replace(domain.limits, message=max(domain.limits.message, domain.limits.inflated))
        # By their first tag, which most payloads of a kind share; at most `_KEPT`.
        self._namespaces: dict[bytes, str] = {}

    def fault(self, message: Message) -> EnvelopeError | None:
        """Return what is wrong with the payload of a message, with line and path; None if nothing is."""
        payload = message.payload
        if self._is_off or payload is None or message.noun in OWN_NOUNS:
            return None
        try:
            for item in items_of(payload, self._limits):
                self._check(item)
        except EnvelopeError as exc:
            return exc
        except InvalidMessage:
            return None  # of what cannot be inflated it has been told where it was read
        return None

    def _check(self, item: bytes) -> None:
        namespace = self._namespace_of(item)
        profile = self._profiles.of(namespace)
        if profile is not None:
            try:
                profile.validate(item, self._item_limits)
            except UnknownProfile as exc:
                raise EnvelopeError(Rule.PAYLOAD, str(exc)) from exc
        elif self._must_be_known:
            reason = f"no profile for namespace {namespace!r}, and domain {self._name} takes known payloads only"
            raise EnvelopeError(Rule.PAYLOAD, reason)

    def _namespace_of(self, item: bytes) -> str:
        tag = item[: item.find(b">") + 1]
        found = self._namespaces.get(tag)
        if found is None:
            found = namespace_of(item, self._item_limits)
            if _TAG.fullmatch(tag):
                if len(self._namespaces) >= _KEPT:
                    self._namespaces.clear()
                self._namespaces[tag] = found
        return found

    def demand(self, message: Message) -> None:
        """Raise `InvalidMessage`, with line and path, for a payload of ours that is not as the domain asks."""
        fault = self.fault(message)
        if fault is not None:
            raise InvalidMessage(f"the payload of {message.verb} {message.noun} is not valid: {fault}") from fault


def items_of(payload: Payload, limits: Limits) -> tuple[bytes, ...]:
    """Return the elements of a payload wherever they stand; raises `InvalidMessage` if they cannot be inflated."""
    if payload.operation_set is not None:
        return tuple(one.item for one in payload.operation_set.operations if one.item is not None)
    return payload.items if payload.compressed is None else inflate(payload, limits).items
