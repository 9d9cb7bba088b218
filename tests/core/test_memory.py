import gc

from iec62746._memory import LONGEST_ID, Memory, key_of, sender_of
from iec62746.address import Inbox
from iec62746.message import Kind, Message
from iec62746.outputs import Ticket
from iec62746.transport import ReplyTo

REQUEST = Message(kind=Kind.REQUEST, verb="get", noun="MeterReadings")


def a_memory(most: int = 10, octets: int = 1_000) -> Memory:
    return Memory(most=most, octets=octets, since=0.0)


def remember(memory: Memory, name: str, until: float = 100.0, arrived: float = 1.0) -> Ticket:
    ticket = Ticket(REQUEST, "ven-1", Inbox("vtn"), arrived, until, until, ReplyTo(1), key=key_of("ven-1", name))
    memory.add(key_of("ven-1", name), 7, arrived, until, ticket)
    return ticket


def test_what_was_added_is_found() -> None:
    memory = a_memory()
    remember(memory, "a")

    assert memory.find(key_of("ven-1", "a")) is not None


def test_the_same_id_of_another_sender_is_another_message() -> None:
    memory = a_memory()
    remember(memory, "a")

    assert memory.find(key_of("ven-2", "a")) is None


def test_what_no_duplicate_can_come_of_is_forgotten() -> None:
    memory = a_memory()
    remember(memory, "a", until=35.0)
    memory.expire(34.9)
    kept = len(memory)
    memory.expire(36.0)

    assert (1, 0) == (kept, len(memory))


def test_at_the_bound_the_oldest_is_forgotten_and_counted() -> None:
    memory = a_memory(most=10)
    for number in range(15):
        remember(memory, str(number))

    assert 10 == len(memory)
    assert 5 == memory.forgotten
    assert memory.find(key_of("ven-1", "4")) is None
    assert memory.find(key_of("ven-1", "5")) is not None


def test_what_is_forgotten_is_returned() -> None:
    memory = a_memory(most=1)
    remember(memory, "a")

    assert key_of("ven-1", "a") == memory.add(key_of("ven-1", "b"), 1, 2.0, 100.0)


def test_after_the_bound_it_reaches_back_only_to_what_was_forgotten() -> None:
    memory = a_memory(most=2)
    for number in range(4):
        remember(memory, str(number), arrived=float(number))

    assert 1.0 == memory.reaches_back_to


def test_an_answer_is_kept_for_duplicates() -> None:
    memory = a_memory()
    memory.keep_answer(remember(memory, "a"), b"answer", 50.0)

    assert (b"answer", 50.0) == memory.answer(key_of("ven-1", "a"))
    assert memory.running(key_of("ven-1", "a")) is None


def test_answers_are_bounded_in_octets_and_the_message_is_still_known() -> None:
    memory = a_memory(octets=1_000)
    for number in range(5):
        memory.keep_answer(remember(memory, str(number)), bytes(300), 50.0)
    oldest = key_of("ven-1", "0")

    assert 900 == memory.octets
    assert memory.find(oldest) is not None
    assert memory.answer(oldest) is None


def test_an_answer_over_the_bound_is_not_kept() -> None:
    memory = a_memory(octets=10)
    memory.keep_answer(remember(memory, "a"), bytes(11), 50.0)

    assert 0 == memory.octets


def test_the_octets_of_what_is_forgotten_are_free_again() -> None:
    memory = a_memory(most=1)
    memory.keep_answer(remember(memory, "a"), bytes(300), 50.0)
    remember(memory, "b")

    assert 0 == memory.octets


def test_the_octets_of_what_expired_are_free_again() -> None:
    memory = a_memory()
    memory.keep_answer(remember(memory, "a", until=10.0), bytes(300), 50.0)
    memory.expire(20.0)

    assert 0 == memory.octets


def test_an_answer_that_comes_too_late_to_be_kept_is_not() -> None:
    memory = a_memory(most=1)
    late = remember(memory, "a")
    remember(memory, "b")
    memory.keep_answer(late, b"answer", 50.0)

    assert 0 == memory.octets


def test_the_answer_to_an_earlier_use_of_an_id_is_not_that_of_the_later() -> None:
    memory = a_memory()
    earlier = remember(memory, "a", until=10.0)
    memory.expire(20.0)
    remember(memory, "a", until=100.0)
    memory.keep_answer(earlier, b"answer", 50.0)

    assert 0 == memory.octets


def test_a_long_id_is_remembered_in_few_octets() -> None:
    assert LONGEST_ID >= len(key_of("ven-1", "x" * 1_000_000)) - len("ven-1 ")


def test_a_request_runs_until_it_is_answered_or_forgotten() -> None:
    memory = a_memory(most=1)
    ticket = remember(memory, "a")
    running = memory.running(key_of("ven-1", "a"))
    remember(memory, "b")

    assert (ticket, None) == (running, memory.running(key_of("ven-1", "a")))


def test_a_key_says_who_sent_it() -> None:
    assert "ven-1" == sender_of(key_of("ven-1", "any id"))


def test_what_is_remembered_is_nothing_for_the_collector() -> None:
    memory = a_memory()
    memory.add(key_of("ven-1", "a"), 7, 1.0, 100.0)
    gc.collect()

    assert not gc.is_tracked(memory.find(key_of("ven-1", "a")))


def test_two_long_ids_differ() -> None:
    assert key_of("ven-1", "x" * 1_000 + "a") != key_of("ven-1", "x" * 1_000 + "b")


def test_far_deadlines_beyond_the_bound_leave_nothing_behind() -> None:
    memory = a_memory(most=10)
    for number in range(5_000):
        remember(memory, str(number), until=1e9 + 10.0 * number)

    assert 10 == len(memory)
    assert 100 > memory._timers.buckets
