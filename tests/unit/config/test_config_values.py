"""Texts of sizes, durations, addresses and so on: what parses, to what, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetragon.config import values as v
from tetragon.config.options import BY_NAME, OPTIONS, Option
from tetragon.model.settings import SECOND, CgroupRate

SUFFIXES = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}


@given(
    number=st.integers(0, 2**20),
    suffix=st.sampled_from(sorted(SUFFIXES)),
    tail=st.sampled_from(["", "B", "i", "iB", "b", "ib"]),
    lower=st.booleans(),
    blank=st.sampled_from(["", " "]),
)
def test_size_suffixes_are_powers_of_1024(
    number: int, suffix: str, tail: str, lower: bool, blank: str
) -> None:
    """Any suffix, in any case, with or without i and B."""
    if not suffix:
        tail = tail.replace("i", "")
    unit = (suffix + tail).lower() if lower else suffix + tail

    assert v.size().parse(f"{number}{blank if unit else ''}{unit}") == number << SUFFIXES[suffix]


@given(st.integers(0, 2**62))
def test_shown_size_parses_to_itself(number: int) -> None:
    """For --help, docs and the log."""
    assert v.size().parse(v.show_size(number)) == number


@given(st.text())
def test_any_text_is_a_size_or_refused_with_a_reason(text: str) -> None:
    """Nothing else than ValueError, whatever the text."""
    _parse_or_refuse(v.size(), text)


@given(st.sampled_from(OPTIONS), st.one_of(st.text(), st.from_regex(r"[0-9smhKMG:.,/\[\]-]{1,20}")))
def test_no_option_fails_otherwise_than_with_a_reason(option: Option, text: str) -> None:
    """Every kind in the table: a value, which shows as text that parses to it, or ValueError."""
    kind = option.kind
    value = _parse_or_refuse(kind, text)
    if value is not None:
        assert kind.parse(kind.show(value)) == value


def _parse_or_refuse(kind: v.Kind, text: str) -> object:
    reason = ""
    try:
        return kind.parse(text)
    except ValueError as exc:
        reason = str(exc)
    assert reason
    return None


@pytest.mark.parametrize(
    "text", ["", "K", "64KK", "6 4K", "64iB", "1.5M", "0x10", "64P", "-1", "1e3", "٣", "64K\n"]
)
def test_refused_sizes(text: str) -> None:
    """Neither fractions nor other bases, and no size below zero unless the option says so."""
    with pytest.raises(ValueError, match=r"is not a size|is too small"):
        v.size().parse(text)


def test_size_bounds() -> None:
    """`zero` admits 0 below the least; a size beyond 64 bits is refused."""
    kind = BY_NAME["udp-max-size"].kind

    assert [kind.parse(text) for text in ("0", "1K", "1472", "65507")] == [0, 1024, 1472, 65507]
    for text in ("1", "1023", "65508", "64K"):
        with pytest.raises(ValueError, match="is too"):
            kind.parse(text)
    assert BY_NAME["udp-buffer-size"].kind.parse("-1") == -1
    with pytest.raises(ValueError, match="too large"):
        v.size().parse("9999999999999999999T")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("0s", 0),
        ("15s", 15 * SECOND),
        ("500ms", SECOND // 2),
        ("1h2m3s", 3723 * SECOND),
        ("1.5s", 1_500_000_000),
        (".5m", 30 * SECOND),
        ("10us", 10_000),
        ("1ns", 1),
    ],
)
def test_durations(text: str, value: int) -> None:
    """Go's syntax, exact to the nanosecond."""
    assert v.duration().parse(text) == value


@pytest.mark.parametrize("text", ["", "5", "s", "1 s", "1d", "-1s", "1h2", "1e3s", "99999999h"])
def test_refused_durations(text: str) -> None:
    """A number without unit is refused, as Go does."""
    with pytest.raises(ValueError, match=r"is not a duration|is too small"):
        v.duration().parse(text)


def test_duration_that_must_not_be_zero() -> None:
    """An interval of nothing would spin."""
    for text in ("0", "0s"):
        with pytest.raises(ValueError, match="too small"):
            BY_NAME["process-cache-gc-interval"].kind.parse(text)


@pytest.mark.parametrize(
    ("text", "value"), [("2", 2 * SECOND), ("10", 10 * SECOND), ("500ms", SECOND // 2)]
)
def test_options_in_seconds_take_durations_too(text: str, value: int) -> None:
    """Upstream's plain seconds, in the unit of every other span."""
    assert v.SECONDS.parse(text) == value


@pytest.mark.parametrize("word", ["1", "t", "T", "true", "True", "TRUE"])
def test_true_words(word: str) -> None:
    """Go's."""
    assert v.SWITCH.parse(word) is True


@pytest.mark.parametrize("word", ["0", "f", "F", "false", "False", "FALSE"])
def test_false_words(word: str) -> None:
    """Go's."""
    assert v.SWITCH.parse(word) is False


@pytest.mark.parametrize("word", ["", "yes", "on", "tRUE", "2", " true"])
def test_other_words_are_neither(word: str) -> None:
    """One language of switches everywhere, YAML files included."""
    with pytest.raises(ValueError, match="neither"):
        v.SWITCH.parse(word)


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("600", 0o600),
        ("0640", 0o640),
        ("0o644", 0o644),
        ("777", 0o664),
        ("0", 0o600),
        ("1777", 0o664),
    ],
)
def test_file_modes_are_octal_and_masked(text: str, mode: int) -> None:
    """Owner reads and writes, nobody executes, others never write."""
    assert v.MODE.parse(text) == mode


@pytest.mark.parametrize("text", ["", "rw-r--r--", "680", "-600", "0x180"])
def test_refused_file_modes(text: str) -> None:
    """Not octal."""
    with pytest.raises(ValueError, match="octal"):
        v.MODE.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost:54321",
        ":0",
        "0.0.0.0:65535",
        "[::1]:54321",
        "unix:///run/t.sock",
        "/run/t.sock",
    ],
)
def test_listen_addresses(text: str) -> None:
    """Kept as written."""
    assert v.LISTEN.parse(text) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("localhost", "has no port"),
        ("localhost:", "has a port that is not"),
        ("localhost:http", "has a port that is not"),
        ("localhost:65536", "has a port that is not"),
        ("localhost:-1", "has a port that is not"),
        ("::1:54321", "not in"),
        ("a b:1", "a character no host"),
        ("http://localhost:1", "a character no host"),
        ("unix://relative.sock", "not the absolute path"),
        ("unix://", "not the absolute path"),
        ("/run/", "not the absolute path"),
    ],
)
def test_refused_listen_addresses(text: str, reason: str) -> None:
    """With the reason."""
    with pytest.raises(ValueError, match=reason):
        v.LISTEN.parse(text)


def test_tcp_address_is_no_socket_path() -> None:
    """HTTP servers listen on TCP only."""
    assert v.TCP.parse(":2112") == ":2112"
    with pytest.raises(ValueError, match="has a"):
        v.TCP.parse("unix:///run/metrics.sock")


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "collector.example.com", "::1", "[::1]", "fe80::1%eth0"]
)
def test_hosts(text: str) -> None:
    """Names and addresses, IPv6 bare or in brackets."""
    assert v.HOST.parse(text) == text


@pytest.mark.parametrize("text", ["", "a b", "a/b", "[]", "[::1", "udp://x"])
def test_refused_hosts(text: str) -> None:
    """What can never be resolved."""
    with pytest.raises(ValueError, match=r"is not a host|belongs in"):
        v.HOST.parse(text)


def test_host_with_port_points_to_the_port_option() -> None:
    """A usual mistake."""
    with pytest.raises(ValueError, match="--udp-output-port"):
        v.HOST.parse("10.0.0.1:514")


@pytest.mark.parametrize("text", ["0", "65536", "-1", "", "syslog"])
def test_refused_ports(text: str) -> None:
    """From 1 to 65535."""
    with pytest.raises(ValueError, match="is not a port"):
        v.PORT.parse(text)


def test_names_are_split_at_commas_and_blanks() -> None:
    """Items without their blanks; empty ones do not count."""
    assert v.NAMES.parse(" a, b,,c  d\n") == ("a", "b", "c", "d")
    assert v.NAMES.parse("") == ()


def test_paths_keep_their_blanks() -> None:
    """Only commas and line ends separate paths."""
    assert v.PATHS.parse("/a b.pem, /c.pem\n/d.pem") == ("/a b.pem", "/c.pem", "/d.pem")


def test_choices_ignore_case_and_know_other_spellings() -> None:
    """`warning` is a level, text-ts a format of upstream."""
    assert str(BY_NAME["log-level"].kind.parse("WARNING")) == "warn"
    assert str(BY_NAME["log-format"].kind.parse("json-ts")) == "json"
    with pytest.raises(ValueError, match="choices"):
        BY_NAME["username-metadata"].kind.parse("windows")


def test_cgroup_rate() -> None:
    """Events and interval; empty for off; a half or a zero is refused."""
    assert v.RATE.parse("1000,1s") == CgroupRate(1000, SECOND)
    assert v.RATE.parse("") is None
    for text in ("1000", "1000,", ",1s", "0,1s", "10,0s", "a,1s", "1,2s,3"):
        with pytest.raises(ValueError, match=r"comma|number|duration|small"):
            v.RATE.parse(text)


@pytest.mark.parametrize(("text", "works"), [("-1", True), ("3", True), ("0", False)])
def test_control_plane_retry_is_never_zero(text: str, works: bool) -> None:
    """Zero attempts would mean to never connect."""
    if works:
        assert v.NONZERO.parse(text) == int(text)
        return
    with pytest.raises(ValueError, match="never"):
        v.NONZERO.parse(text)
