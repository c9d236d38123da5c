"""Books: what the kernel half counted in, its ledger out.

Owns    nothing: pure
"""

from collections.abc import Mapping

from tetragon.model.ledger import Ledger


def kernel_books(counters: Mapping[tuple[str, str], int]) -> Ledger:
    """
    Return the books of the kernel half, in records: offered, taken by the ring, lost.

    A full ring loses a record, and so does state of a process that no map could keep
    (``state_lost``). Where scratch memory or the usual place of the state could not be had
    (``heap_busy``, ``storage_busy``), what is known is sent all the same.

    Args:
        counters: how often, by (operation, counter), as BaseSensor.counters has them.
    """
    books = Ledger("kernel")
    for (op, what), number in counters.items():
        if what == "produced":
            books.produced += number
        elif number and what == "ring_full":
            books.lose(what, op, count=number)
        elif number and what == "state_lost":  # lost before it was offered
            books.produced += number
            books.lose(what, op, count=number)
    books.delivered = books.produced - books.lost_total
    return books
