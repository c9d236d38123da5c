"""Books of the kernel half: what was offered is what was taken plus what was lost."""

from tetragon.model.ledger import Loss
from tetragon.sensor.books import kernel_books


def test_full_ring_loses_records() -> None:
    """By operation; those without a loss have no entry."""
    books = kernel_books(
        {
            ("exec", "produced"): 100,
            ("exec", "ring_full"): 7,
            ("exit", "produced"): 90,
            ("exit", "ring_full"): 3,
            ("clone", "produced"): 5,
            ("clone", "ring_full"): 0,
        }
    )
    assert (books.stage, books.produced, books.delivered) == ("kernel", 195, 185)
    assert books.lost == {Loss("ring_full", "exec"): 7, Loss("ring_full", "exit"): 3}


def test_trouble_that_loses_no_record_is_no_loss() -> None:
    """A record sent without its texts, or state kept elsewhere, is still delivered."""
    books = kernel_books(
        {("exec", "produced"): 5, ("exec", "heap_busy"): 4, ("fork", "storage_busy"): 6}
    )
    assert (books.produced, books.delivered, books.lost) == (5, 5, {})


def test_lost_state_loses_its_exit() -> None:
    """It was never offered to the ring, so it is added to what was produced."""
    books = kernel_books({("exit", "produced"): 5, ("exit", "state_lost"): 2})
    assert (books.produced, books.delivered) == (7, 5)
    assert books.lost == {Loss("state_lost", "exit"): 2}
