"""A reply as an application sees it and gives it."""

from dataclasses import dataclass, field

from iec62746.errors import InvalidMessage
from iec62746.message import ID, Error, Kind, Message, Payload, ReplyPart, Result, maker


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to a request: result, errors, ids, payload; `message` is all of it, if it was received."""

    result: Result = Result.OK
    errors: tuple[Error, ...] = ()
    ids: tuple[ID, ...] = ()
    payload: Payload | None = None
    extensions: tuple[bytes, ...] = ()
    operation_id: int | None = None
    message: Message | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Hold the schema's choice."""
        if self.result not in tuple(Result):
            raise InvalidMessage(f"result is {self.result!r}: a Reply has {', '.join(Result)}")

    @classmethod
    def of(cls, message: Message) -> "Reply":
        """Return the reply in a ResponseMessage or FaultMessage."""
        part = message.reply or _FAILED
        return _reply(
            result=part.result,
            errors=part.errors,
            ids=part.ids,
            payload=message.payload,
            extensions=part.extensions,
            operation_id=part.operation_id,
            message=message,
        )

    def to_message(self, noun: str) -> Message:
        """Return the ResponseMessage about `noun` that says this; OK says so by Error code 0.0, as the field does."""
        errors = self.errors or ((Error(code="0.0"),) if self.result == Result.OK else ())
        part = ReplyPart(
            result=self.result, errors=errors, ids=self.ids, extensions=self.extensions, operation_id=self.operation_id
        )
        return Message(kind=Kind.RESPONSE, verb="reply", noun=noun, reply=part, payload=self.payload)


_reply = maker(Reply)
_FAILED = ReplyPart(result=Result.FAILED)


def result_of(message: Message) -> Result:
    """Return the result of a reply; one that has no Reply part is FAILED."""
    return (message.reply or _FAILED).result
