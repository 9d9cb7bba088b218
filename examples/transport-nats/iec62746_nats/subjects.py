"""What the subjects are called: the second word is who sends, so that one permission of the server proves it."""

from dataclasses import dataclass

from iec62746 import Address, Inbox, Node, PermissionDenied, Presence


@dataclass(frozen=True, slots=True)
class Subjects:
    """The subjects of one party in one domain; their names are words that NATS takes as they are.

    DOMAIN.SENDER.in.PARTY             to a party
    DOMAIN.SENDER.in.PARTY.SESSION     in answer, to just the session that asked
    DOMAIN.SENDER.node.NODE            an event
    DOMAIN.SENDER.presence             its presence
    DOMAIN.SENDER.ack.SESSION.NUMBER   what the server says of one message of its own
    """

    domain: str
    vtn: str
    party: str

    def to(self, address: Address) -> str:
        """Return where this party sends; it announces nobody else's presence."""
        match address:
            case Inbox(party):
                return f"{self.domain}.{self.party}.in.{party}"
            case Node(name):
                return f"{self.domain}.{self.party}.node.{name}"
            case Presence(party) if party in (None, self.party):
                return f"{self.domain}.{self.party}.presence"
        raise PermissionDenied(f"{self.party} announces nobody's presence but its own")

    def of(self, address: Address) -> str:
        """Return what to subscribe to; a node's events come from the VTN only (62746-3, 5.5.4)."""
        match address:
            case Inbox(party):
                return f"{self.domain}.*.in.{party}"
            case Node(name):
                return f"{self.domain}.{self.vtn}.node.{name}"
            case Presence(party):
                return f"{self.domain}.{party or '*'}.presence"

    def answer(self, party: str, session: str) -> str:
        """Return where this party answers a session of `party`."""
        return f"{self.to(Inbox(party))}.{session}"

    def answers(self, session: str) -> str:
        """Return where this party's `session` is answered."""
        return f"{self.of(Inbox(self.party))}.{session}"

    def ack(self, session: str, number: str) -> str:
        """Return where the server tells the `session` of its message of that number; `*` stands for any."""
        return f"{self.domain}.{self.party}.ack.{session}.{number}"


def sender_of(subject: str) -> str:
    """Return who sent to `subject`."""
    return subject.split(".")[1]
