from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.hosts import Host, HostAllowlist, HostPattern, check_pattern, parse_host

ALLOW = ("example.com", "*.corp.example", "api.test:8443", "10.0.0.1", "[2001:db8::1]:443", "m\u00fcnchen.example")


@pytest.mark.parametrize(
    "host",
    [
        "evil-example.com",
        "example.com.evil.test",
        "example.comm",
        "xexample.com",
        "a.example.com",
        "example.com@evil.test",
        "example.com:80@evil.test",
        "example.com#.evil.test",
        "example.com/.evil.test",
        "example.com\\.evil.test",
        "example.com%2eevil.test",
        "example.com\x00.evil.test",
        "example.com\n",
        " example.com",
        "example.com ",
        "example.com..",
        ".example.com",
        "example..com",
        "",
        ".",
        ":443",
        "example.com:",
        "example.com:0",
        "example.com:65536",
        "example.com:\u0664\u0664\u0663",
        "example.com:443:443",
        "corp.example",
        ".corp.example",
        "evilcorp.example",
        "corp.example.evil.test",
        "*.corp.example",
        "api.test:8444",
        "api.test",
        "10.0.0.1.evil.test",
        "10.0.0.10",
        "010.0.0.1",
        "0xa.0.0.1",
        "167772161",
        "10.1",
        "[::ffff:10.0.0.1]",
        "[10.0.0.1]",
        "[2001:db8::1",
        "[2001:db8::1]x",
        "[2001:db8::1]:444",
        "[2001:db8::1%25eth0]",
        "2001:db8::1:443",
        "[2001:db8::2]:443",
        "munchen.example",
        "\u0435xample.com",  # a Cyrillic e
        "*",
    ],
)
def test_host_that_only_resembles_an_allowed_one_is_refused(host: str) -> None:
    assert not HostAllowlist(ALLOW).allows(host)


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "EXAMPLE.com",
        "example.com.",
        "example.com:443",
        "example.com:9999",
        "a.corp.example",
        "a.b.CORP.example.:80",
        "api.test:8443",
        "10.0.0.1",
        "10.0.0.1:22",
        "[2001:db8::1]:443",
        "[2001:DB8:0::1]",
        "2001:db8::1",
        "m\u00fcnchen.example",
        "M\u00dcNCHEN.example",
        "xn--mnchen-3ya.example",
    ],
)
def test_other_spellings_of_an_allowed_host_pass(host: str) -> None:
    assert HostAllowlist(ALLOW).allows(host)


@pytest.mark.parametrize("host", ["stra\u00dfe.test", "\u03c2.test", "a\u200db.test"])
def test_name_that_two_standards_read_differently_is_refused(host: str) -> None:
    """IDNA 2003 makes strasse.test of the first, IDNA 2008 another domain: an allowlist must not guess."""
    assert not HostAllowlist(["strasse.test", "*"]).allows(host)


def test_star_allows_what_can_be_read() -> None:
    anywhere = HostAllowlist(["*"])
    assert anywhere.allows("a.test")
    assert anywhere.allows("[2001:db8::1]:80")
    assert not anywhere.allows("a test")
    assert HostAllowlist(["*:443"]).allows("a.test:443")
    assert not HostAllowlist(["*:443"]).allows("a.test:8080")


def test_host_without_a_port_is_on_a_default_one() -> None:
    assert HostPattern.parse("a.test:443").matches(Host("a.test"))
    assert HostPattern.parse("a.test:80").matches(Host("a.test"))
    assert not HostPattern.parse("a.test:8443").matches(Host("a.test"))


def test_empty_allowlist_allows_nothing() -> None:
    assert not HostAllowlist([]).allows("example.com")


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "",
            "*.",
            "*.*",
            "**",
            "*x.test",
            "a.*.test",
            "a*",
            "*.10.0.0.1",
            "*.1",
            "*.[::1]",
            "*.::1",
            "*:",
            "[fe80::1%eth0]",
        ),
        *("http://a.test", "a.test/x", "a.test:x", "user@a.test", "a .test", "-a.test", "a..test"),
        *("x" * 64 + ".test", "a." * 127 + "test"),
    ],
)
def test_pattern_that_cannot_be_meant_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        check_pattern(pattern)


@given(st.text(alphabet="ab.-*:@[]/%0 \u00df\u0130", max_size=12))
def test_nothing_matches_but_the_name_itself_and_names_below_it(text: str) -> None:
    if HostAllowlist(["a.b", "*.b.a"]).allows(text):
        name = parse_host(text).name
        assert name == "a.b" or name.endswith(".b.a")


@given(st.text(max_size=30))
def test_reading_what_was_read_changes_nothing(text: str) -> None:
    try:
        host = parse_host(text)
    except ValueError:
        return
    assert parse_host(host.name).name == host.name
    assert host.name.isascii()
    assert host.name == host.name.lower()


NEAR = [
    "127.0.0.1", "127.9.9.9:8801", "localhost", "LOCALHOST.", "x.localhost", "[::1]:80", "0.0.0.0", "[::]",
    "169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16", "224.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("host", NEAR)
def test_what_is_near_is_allowed_only_where_it_is_named(host: str) -> None:
    """The console, the databases and the cloud credentials of this machine: no pattern means them."""
    assert not HostAllowlist(["*", "*:8801", "*.localhost", "*:80"]).allows(host)
    assert HostAllowlist([host]).allows(host) and HostAllowlist((), [host]).allows(host.removesuffix(":80"))


@pytest.mark.parametrize(
    "host",
    ["2130706433", "127.1", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.0.0.1.", "1.2.3.4.5", "x.1", "0x", "1e3.08",
     "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "::ffff:10.0.0.1", "\uff11\uff12\uff17.1", "169.254.43518"],
)  # fmt: skip
def test_an_address_is_written_in_one_way(host: str) -> None:
    """Resolvers take each of these for an address, and most of them for one of this machine."""
    assert not HostAllowlist(["*"]).allows(host)
    if host != "127.0.0.1.":
        with pytest.raises(ValueError, match="address"):
            parse_host(host)
