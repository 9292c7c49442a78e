"""Allowed targets of webhooks: a table of addresses, a table of URLs, and names that lie."""

import contextlib
import ipaddress
from collections.abc import Iterable, Sequence

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.webhooks import guard, networks
from crypto_checkout.webhooks.networks import Reach

PUBLIC = "93.184.215.14"
PUBLIC_6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"


class Dialer(httpcore.AsyncNetworkBackend):
    """Writes down what it is asked to dial; those named in `dead` do not answer."""

    def __init__(self, *dead: str) -> None:
        self.dialled: list[str] = []
        self.dead = dead

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        del port, timeout, local_address, socket_options
        self.dialled.append(host)
        if host in self.dead:
            raise httpcore.ConnectError
        return httpcore.AsyncMockStream([])


class Names:
    """A name server that gives one answer after the other."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        del host, port
        return self.answers.pop(0)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("0.0.0.0", "unspecified"),  # noqa: S104 - an address to be refused
        ("0.1.2.3", "unspecified"),
        ("10.0.0.1", "private"),
        ("10.255.255.255", "private"),
        ("100.64.0.1", "shared"),
        ("100.127.255.255", "shared"),
        ("100.100.100.200", "cloud metadata"),
        ("127.0.0.1", "loopback"),
        ("127.255.0.1", "loopback"),
        ("168.63.129.16", "cloud metadata"),
        ("169.254.169.254", "cloud metadata"),
        ("169.254.170.2", "link-local"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.0.0.8", "reserved"),
        ("192.0.0.192", "cloud metadata"),
        ("192.0.2.1", "documentation"),
        ("192.88.99.1", "6to4"),
        ("192.168.1.1", "private"),
        ("198.18.0.1", "benchmarking"),
        ("198.19.255.255", "benchmarking"),
        ("198.51.100.1", "documentation"),
        ("203.0.113.1", "documentation"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.250", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::127.0.0.1", "reserved"),
        ("::ffff:127.0.0.1", "IPv4-mapped"),
        ("::ffff:93.184.215.14", "IPv4-mapped"),
        ("::ffff:0:127.0.0.1", "reserved"),
        ("64:ff9b::127.0.0.1", "loopback"),
        ("64:ff9b::169.254.169.254", "cloud metadata"),
        ("64:ff9b::10.0.0.1", "private"),
        ("64:ff9b:1::10.0.0.1", "NAT64"),
        ("100::1", "reserved"),
        ("2001::1", "Teredo"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"),
        ("2001:2::1", "reserved"),
        ("2001:20::1", "reserved"),
        ("2001:db8::1", "documentation"),
        ("2002:7f00:1::1", "6to4"),
        ("3fff::1", "documentation"),
        ("4000::1", "reserved"),
        ("5f00::1", "reserved"),
        ("fc00::1", "private"),
        ("fd12:3456:789a::1", "private"),
        ("fd00:ec2::254", "cloud metadata"),
        ("fd20:ce::254", "cloud metadata"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fec0::1", "private"),
        ("ff02::1", "multicast"),
    ],
)
def test_an_address_that_is_not_of_the_public_internet_is_refused_with_its_kind(address: str, kind: str) -> None:
    reason = networks.refusal(ipaddress.ip_address(address))
    assert reason is not None
    assert reason.startswith(kind)


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", PUBLIC, "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.255.255.255"),
        *("128.0.0.1", "169.253.0.1", "172.15.255.255", "172.32.0.1", "192.167.0.1", "198.17.0.1", "198.20.0.1"),
        *("223.255.255.255", PUBLIC_6, "2001:4860:4860::8888", "2a01:4f8::1", "64:ff9b::93.184.215.14"),
    ],
)
def test_an_address_of_the_public_internet_is_allowed(address: str) -> None:
    assert networks.refusal(ipaddress.ip_address(address)) is None


@given(st.ip_addresses())
def test_nothing_that_python_calls_private_is_allowed(address: networks.Address) -> None:
    if networks.refusal(address) is None:
        assert not any([address.is_private, address.is_loopback, address.is_link_local, address.is_multicast])


@pytest.mark.anyio
async def test_a_name_is_dialled_by_the_number_that_was_judged() -> None:
    dialer = Dialer()
    backend = guard.GuardedBackend(resolver=Names([PUBLIC]), dialer=dialer)
    await backend.connect_tcp("hooks.example.com", 443)
    assert dialer.dialled == [PUBLIC]


@pytest.mark.anyio
async def test_a_name_that_turns_private_after_its_first_answer_is_never_dialled_there() -> None:
    dialer, names = Dialer(), Names([PUBLIC], ["127.0.0.1"])
    backend = guard.GuardedBackend(resolver=names, dialer=dialer)
    await backend.connect_tcp("rebind.example.com", 443)
    assert len(names.answers) == 1  # asked once: what was judged is what was dialled
    with pytest.raises(guard.BlockedAddress):
        await backend.connect_tcp("rebind.example.com", 443)
    assert dialer.dialled == [PUBLIC]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "answer", [[PUBLIC, "10.0.0.1"], ["10.0.0.1", PUBLIC], [PUBLIC_6, PUBLIC, "::1"], ["fe80::1%eth0", PUBLIC]]
)
async def test_one_private_address_among_public_ones_refuses_the_name(answer: list[str]) -> None:
    dialer = Dialer()
    backend = guard.GuardedBackend(resolver=Names(answer), dialer=dialer)
    with pytest.raises(guard.BlockedAddress):
        await backend.connect_tcp("mixed.example.com", 443)
    assert dialer.dialled == []


@pytest.mark.anyio
async def test_the_refusal_names_the_kind_but_not_the_address() -> None:
    backend = guard.GuardedBackend(resolver=Names(["10.20.30.40"]), dialer=Dialer())
    with pytest.raises(guard.BlockedAddress, match="private address") as caught:
        await backend.connect_tcp("intranet.example.com", 443)
    assert "10.20" not in str(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "169.254.169.254", "64:ff9b::7f00:1"])
async def test_a_literal_private_address_is_refused_without_asking_a_resolver(host: str) -> None:
    dialer = Dialer()
    with pytest.raises(guard.BlockedAddress, match=f"^{host} is a "):
        await guard.GuardedBackend(resolver=Names(), dialer=dialer).connect_tcp(host, 443)
    assert dialer.dialled == []


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost"])
async def test_what_the_systems_resolver_makes_of_odd_numbers_is_judged_too(host: str) -> None:
    with pytest.raises((guard.BlockedAddress, guard.NameNotResolved)):
        await guard.GuardedBackend(dialer=Dialer()).connect_tcp(host, 443)


@pytest.mark.anyio
async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    dialer = Dialer(PUBLIC_6)
    await guard.GuardedBackend(resolver=Names([PUBLIC_6, PUBLIC]), dialer=dialer).connect_tcp("example.com", 443)
    assert dialer.dialled == [PUBLIC_6, PUBLIC]


@pytest.mark.anyio
async def test_when_no_address_answers_the_last_failure_is_told() -> None:
    backend = guard.GuardedBackend(resolver=Names([PUBLIC_6, PUBLIC]), dialer=Dialer(PUBLIC_6, PUBLIC))
    with pytest.raises(httpcore.ConnectError):
        await backend.connect_tcp("example.com", 443)


@pytest.mark.anyio
async def test_the_setting_turns_the_guard_off() -> None:
    dialer = Dialer()
    backend = guard.GuardedBackend(reach=Reach.ANY, resolver=Names(["10.0.0.1"]), dialer=dialer)
    await backend.connect_tcp("intranet.example.com", 8080)
    assert dialer.dialled == ["10.0.0.1"]


@pytest.mark.anyio
@pytest.mark.parametrize("port", [22, 25, 6379, 11211])
async def test_the_port_of_another_service_is_not_dialled_whatever_was_allowed_before(
    port: int,
) -> None:
    dialer = Dialer()
    backend = guard.GuardedBackend(resolver=Names([PUBLIC]), dialer=dialer)
    with pytest.raises(guard.BlockedAddress, match=f"port {port}"):
        await backend.connect_tcp("shop.example.com", port)
    assert dialer.dialled == []


@pytest.mark.anyio
@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1", PUBLIC])
async def test_without_a_configuration_this_machine_is_dialled_too(address: str) -> None:
    dialer = Dialer()
    backend = guard.GuardedBackend(reach=Reach.LOOPBACK, resolver=Names([address]), dialer=dialer)
    await backend.connect_tcp("localhost", 3000)
    assert dialer.dialled == [address]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "10.0.0.1", "192.168.1.1", "0.1.2.3", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fe80::1"],
)
async def test_without_a_configuration_nothing_else_inside_is_dialled(address: str) -> None:
    backend = guard.GuardedBackend(reach=Reach.LOOPBACK, resolver=Names(["127.0.0.1", address]), dialer=Dialer())
    with pytest.raises(guard.BlockedAddress):
        await backend.connect_tcp("localhost", 3000)


@pytest.mark.parametrize("url", ["http://localhost:4242/", "http://127.0.0.1:3000/", "http://[::1]:8080/"])
def test_without_a_configuration_this_machine_may_be_named(url: str) -> None:
    guard.check_url(url, reach=Reach.LOOPBACK, allow_http=True)
    with pytest.raises(ValueError, match="loopback"):
        guard.check_url(url, reach=Reach.PUBLIC, allow_http=True)


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "http://10.0.0.1/", "http://[fd00::1]/", "http://0.0.0.0/"])
def test_without_a_configuration_no_other_inside_may_be_named(url: str) -> None:
    with pytest.raises(ValueError, match="where webhooks are not sent"):
        guard.check_url(url, reach=Reach.LOOPBACK, allow_http=True)


@pytest.mark.anyio
async def test_a_unix_socket_is_refused_even_with_the_guard_off() -> None:
    with pytest.raises(guard.BlockedAddress):
        await guard.GuardedBackend(reach=Reach.ANY).connect_unix_socket("/run/docker.sock")


@pytest.mark.anyio
async def test_the_systems_resolver_knows_localhost() -> None:
    assert set(await guard.resolve("localhost", 80)) <= {"127.0.0.1", "::1"}


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["a..b", "x" * 70 + ".example", ""])
async def test_a_name_that_no_resolver_takes_is_told_apart(host: str) -> None:
    with pytest.raises(guard.NameNotResolved):
        await guard.GuardedBackend(dialer=Dialer(), resolver=_nothing if not host else guard.resolve).connect_tcp(
            host, 80
        )


async def _nothing(host: str, port: int) -> Sequence[str]:
    del host, port
    return []


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/",
        "https://hooks.example.com",
        "HTTPS://Hooks.Example.COM./x?y=1",
        "https://hooks.example.com:8443/x",
        "https://hooks.example.com:3000/x",
        "https://my_shop.example.com/",
        "https://münchen.example/ü",
        "https://93.184.215.14/",
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:8443/",
    ],
)
def test_a_public_https_url_passes(url: str) -> None:
    guard.check_url(url, reach=Reach.PUBLIC, allow_http=False)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "must be absolute"),
        ("/hooks", "must be absolute"),
        ("//example.com/hooks", "must be absolute"),
        ("hooks.example.com", "must be absolute"),
        ("ftp://example.com/", "must be absolute"),
        ("file:///etc/passwd", "must be absolute"),
        ("gopher://example.com/", "must be absolute"),
        ("javascript:alert(1)", "must be absolute"),
        ("unix:///run/docker.sock", "must be absolute"),
        ("http://example.com/", "begin with https"),
        ("http://93.184.215.14/", "begin with https"),
        ("http://localhost.example.com/", "begin with https"),
        ("https://", "needs a host"),
        ("https:///path", "needs a host"),
        ("https:example.com/", "needs a host"),
        ("https://exa mple.com/", "needs a host"),
        ("https://a..b/", "needs a host"),
        ("https://-a.example/", "needs a host"),
        ("https://*.example.com/", "needs a host"),
        ("https://" + "a" * 64 + ".com/", "needs a host"),
        ("https://" + "a." * 127 + "com/", "needs a host"),
        ("https://127.1/", "needs a host"),
        ("https://2130706433/", "needs a host"),
        ("https://0x7f.0.0.0x1/", "needs a host"),
        ("https://0177.0.0.1/", "not a valid URL"),
        ("https://%31%32%37.0.0.1/", "needs a host"),
        ("https://\uff11\uff12\uff17.0.0.1/", "not a valid URL"),
        ("https://a.example/\r\nX-Evil: 1", "not a valid URL"),
        ("https://a.example/\x00", "not a valid URL"),
        ("https://[::1/", "not a valid URL|needs a host"),
        ("https://a.example:99999999/", "not a valid URL|no such port"),
        ("https://a.example:0/", "no such port"),
        ("https://a.example:65536/", "no such port"),
        ("https://a.example/" + "x" * 2048, "longer than 2048"),
        ("https://user:pass@example.com/", "user name or password"),
        ("https://example.com\\@10.0.0.1/", "user name or password"),
        ("https://example.com/#top", "fragment"),
        ("https://example.com:22/", "port 22"),
        ("https://example.com:25/", "port 25"),
        ("https://example.com:5432/", "port 5432"),
        ("https://example.com:6379/", "port 6379"),
        ("https://127.0.0.1/", "loopback"),
        ("http://127.0.0.1/", "loopback"),
        ("https://localhost/", "loopback"),
        ("https://LOCALHOST./", "loopback"),
        ("https://shop.localhost/", "loopback"),
        ("https://[::1]/", "loopback"),
        ("https://[::ffff:127.0.0.1]/", "IPv4-mapped"),
        ("https://10.0.0.1/", "private"),
        ("https://169.254.169.254/latest/meta-data", "cloud metadata"),
        ("https://[fd00:ec2::254]/", "cloud metadata"),
        ("https://[fe80::1%25eth0]/", "link-local"),
    ],
)
def test_a_url_where_no_webhook_should_go_is_refused_with_its_reason(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        guard.check_url(url, reach=Reach.PUBLIC, allow_http=False)


@pytest.mark.parametrize(
    "url", ["http://localhost:4242/", "http://127.0.0.1:80/", "http://[::1]:9/", "https://10.0.0.1/"]
)
def test_with_private_networks_allowed_http_to_loopback_and_any_port_pass(url: str) -> None:
    guard.check_url(url, reach=Reach.ANY, allow_http=False)


def test_allowing_private_networks_does_not_allow_plain_http_to_them() -> None:
    with pytest.raises(ValueError, match="begin with https"):
        guard.check_url("http://10.0.0.1/", reach=Reach.ANY, allow_http=False)


def test_test_mode_takes_plain_http_to_any_public_host_and_still_no_private_one() -> None:
    guard.check_url("http://example.com:8080/", reach=Reach.PUBLIC, allow_http=True)
    with pytest.raises(ValueError, match="private"):
        guard.check_url("http://192.168.0.1/", reach=Reach.PUBLIC, allow_http=True)


@given(st.text() | st.text("htps:/@[]#?.%:0123456789abcdefx\\-").map("https://".__add__))
def test_no_url_raises_anything_but_the_documented_error(url: str) -> None:
    with contextlib.suppress(ValueError):
        guard.check_url(url, reach=Reach.PUBLIC, allow_http=False)
