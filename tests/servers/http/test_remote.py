from __future__ import annotations

import base64
import datetime
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat
from pathlib import Path
from threading import Event, Thread
from typing import Any

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from xray_servers.http.errors import Refused
from xray_servers.http.remote import RemoteImages

from xray_agent_tools.errors import Misconfigured

PICTURE = b"\x89PNG what a picture is made of"
NAME = "pictures.test"
LOOPBACK = ("127.0.0.0/8", "::1/128")
SHORT_S = 0.3
"""A time limit that is meant to pass."""

PATIENCE_S = 30
"""Seconds that any fetch may take before its test fails."""


@dataclass
class Site:
    """A web site on loopback.

    Attributes:
        pages: what is served at each path: a status, headers, and the body in pieces.
        port: where it listens.
        requests: path and Host header of each request that came.
        headers: all headers of each.
    """

    pages: dict[str, tuple[int, Mapping[str, str], Iterator[bytes] | Sequence[bytes]]]
    port: int = 0
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    headers: list[Message] = field(default_factory=list)
    closing: Event = field(default_factory=Event)

    def url(self, path: str = "/bag", name: str = NAME) -> str:
        return f"http://{name}:{self.port}{path}"

    def redirect(self, path: str, location: str, status: int = 302) -> None:
        self.pages[path] = (status, {"Location": location}, ())


class Handler(BaseHTTPRequestHandler):
    def __init__(self, site: Site, *connection: Any) -> None:
        self.site = site
        super().__init__(*connection)

    def do_GET(self) -> None:
        self.site.requests.append((self.path, self.headers["Host"]))
        self.site.headers.append(self.headers)
        status, headers, body = self.site.pages[self.path]
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            for piece in body:
                self.wfile.write(piece)
                if self.site.closing.is_set():
                    return
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def site(
    address: str = "127.0.0.1", *, port: int = 0, wrap: Callable[[socket.socket], socket.socket] | None = None
) -> Iterator[Site]:
    made = Site({"/bag": (200, {}, (PICTURE,))})
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = type("Server", (Quiet,), {"address_family": family})
    server = kind((address, port), partial(Handler, made))
    if wrap is not None:
        server.socket = wrap(server.socket)
    made.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


class Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that does not like the certificate hangs up."""


@contextmanager
def names(**addresses: Sequence[str]) -> Iterator[list[str]]:
    """Names that end in ``.test``, with one address for each time they are asked for; yields what was asked for.

    Other names do not exist; addresses stand for themselves.
    """
    asked: list[str] = []
    left = {f"{name}.test": list(given) for name, given in addresses.items()}
    genuine = socket.getaddrinfo

    def answer(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        text = host.decode() if isinstance(host, bytes) else str(host)
        asked.append(text)
        if text in left:
            found = left[text]
            return genuine(found.pop(0) if len(found) > 1 else found[0], port, *args, **options)
        options["flags"] = socket.AI_NUMERICHOST
        return genuine(host, port, *args[:3], **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", answer)
        yield asked


def fetch(images: RemoteImages, url: str) -> bytes:
    """The picture at an address."""
    kind, _, content = anyio.run(_patiently, images, url).partition(",")
    assert kind == "data:application/octet-stream;base64"
    return base64.b64decode(content)


async def _patiently(images: RemoteImages, url: str) -> str:
    with anyio.fail_after(PATIENCE_S):
        return await images.fetch(url)


def refusal(images: RemoteImages, url: str) -> Refused:
    """Why a picture is not fetched."""
    with pytest.raises(Refused) as refused:
        anyio.run(_patiently, images, url)
    assert refused.value.status == 400
    assert refused.value.param == "image_url"
    assert "data URI" in refused.value.hint
    return refused.value


def allowed(place: Site, *more: str, **limits: Any) -> RemoteImages:
    """Fetches from the place's name and port, on this machine."""
    return RemoteImages([f"{NAME}:{place.port}", *LOOPBACK, *more], **limits)


def test_a_picture_is_fetched_from_an_allowed_host() -> None:
    with site() as place, names(pictures=["127.0.0.1"]):
        assert fetch(allowed(place), place.url()) == PICTURE
    assert place.requests == [("/bag", f"{NAME}:{place.port}")]


@pytest.mark.parametrize(
    "name", ["other.test", "pictures.test.evil.test", "x.pictures.test", "pictures.tes", "127.0.0.1"]
)
def test_other_hosts_are_not_asked(name: str) -> None:
    with site() as place, names(pictures=["127.0.0.1"], other=["127.0.0.1"]) as asked:
        assert refusal(allowed(place), place.url(name=name)).code == "image_url_not_allowed"
    assert not place.requests
    assert not asked


def test_without_allowed_hosts_nothing_is_fetched() -> None:
    with site() as place, names(pictures=["127.0.0.1"]) as asked:
        assert refusal(RemoteImages([]), place.url()).code == "image_url_not_allowed"
    assert not asked


def test_a_host_is_allowed_at_its_usual_ports_only() -> None:
    with site() as place, names(pictures=["127.0.0.1"]) as asked:
        assert "port" in refusal(RemoteImages([NAME, *LOOPBACK]), place.url()).message
        assert refusal(allowed(place), f"http://{NAME}/bag").code == "image_url_not_allowed"
        for port in (0, -1, 22, 65536, 99999):
            assert refusal(RemoteImages([NAME]), f"http://{NAME}:{port}/").code == "image_url_not_allowed"
    assert not asked
    assert not place.requests


def test_an_allowed_host_is_asked_at_ports_80_and_443() -> None:
    images = RemoteImages([NAME])
    with names(pictures=["10.0.0.1"]) as asked:
        for url in (f"http://{NAME}/", f"https://{NAME}/", f"http://{NAME}:443/", f"HTTPS://{NAME.upper()}:443/"):
            assert "not public" in refusal(images, url).message
    assert asked == [NAME] * 4


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::7f00:1",
        "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a00:1::1", "fec0::1", "fc00::1", "fe80::1", "ff02::1", "2001:db8::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2", "::ffff:0:7f00:1",
    ],
)  # fmt: skip
def test_a_host_with_an_address_that_is_not_public_is_not_asked(address: str) -> None:
    with names(pictures=[address]):
        assert "not public" in refusal(RemoteImages([NAME]), f"http://{NAME}/").message


@pytest.mark.parametrize("network", ["127.0.0.0/8", "::ffff:0:0/96"])
@pytest.mark.parametrize("address", ["10.0.0.1", "::ffff:10.0.0.1"])
def test_an_allowed_network_opens_no_other(network: str, address: str) -> None:
    with names(pictures=[address]):
        assert "not public" in refusal(RemoteImages([NAME, network]), f"http://{NAME}/").message


def test_a_public_address_beside_one_that_is_not_does_not_help() -> None:
    both = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in ("93.184.216.34", "169.254.169.254")
    ]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", lambda *_, **__: both)
        assert "not public" in refusal(RemoteImages([NAME]), f"http://{NAME}/").message


def test_the_address_that_was_checked_is_the_one_that_is_connected_to() -> None:
    with site("127.0.0.1") as good, site("127.0.0.2", port=good.port) as bad:
        bad.pages["/bag"] = (200, {}, (b"what the name points to later",))
        with names(pictures=["127.0.0.1", "127.0.0.2"]) as asked:
            assert fetch(RemoteImages([f"{NAME}:{good.port}", "127.0.0.1/32"]), good.url()) == PICTURE
    assert not bad.requests
    assert asked.count(NAME) == 1


def test_a_name_that_changes_its_mind_between_two_redirects_is_checked_again() -> None:
    with site("127.0.0.1") as good, site("127.0.0.2", port=good.port) as bad:
        good.redirect("/away", "/bag")
        with names(pictures=["127.0.0.1", "127.0.0.2"]):
            images = RemoteImages([f"{NAME}:{good.port}", "127.0.0.1/32"])
            assert "not public" in refusal(images, good.url("/away")).message
    assert not bad.requests


@pytest.mark.parametrize(
    "host",
    [
        "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "127.0.0.1.", "[::ffff:127.0.0.1]", "[::1]",
        "[::7f00:1]", "[0:0:0:0:0:ffff:7f00:1]", "localhost", "localhost.", "%31%32%37.0.0.1", "①②⑦.0.0.1",
        "127。0。0。1", "pictures.test%00.evil.test", "pictures.test\\.evil.test", "pictures.test.", "[::1%25lo]",
        "[v1.x]", "",
    ],
)  # fmt: skip
def test_no_spelling_of_an_address_gets_around_the_list(host: str) -> None:
    with site() as place, names(pictures=["127.0.0.1"]) as asked:
        refusal(allowed(place), f"http://{host}:{place.port}/bag")
    assert not asked
    assert not place.requests


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]"])
def test_an_address_can_be_allowed_as_a_host(host: str) -> None:
    with site() as place:
        assert fetch(RemoteImages([f"{host}:{place.port}", *LOOPBACK]), place.url(name=host)) == PICTURE
        assert "not public" in refusal(RemoteImages([f"{host}:{place.port}"]), place.url(name=host)).message


def test_a_host_can_have_an_address_of_the_sixth_version() -> None:
    try:
        with site("::1") as place, names(pictures=["::1"]):
            assert fetch(allowed(place), place.url()) == PICTURE
    except OSError:
        pytest.skip("this machine has no IPv6")


@pytest.mark.parametrize("scheme", ["file", "ftp", "gopher", "data", "ws", "unix", "", "http+unix", "javascript"])
def test_other_schemes_are_refused(scheme: str) -> None:
    with site() as place, names(pictures=["127.0.0.1"]) as asked:
        refusal(allowed(place), f"{scheme}://{NAME}:{place.port}/bag")
    assert not asked


@pytest.mark.parametrize("user", ["me@", "me:secret@", ":@", "evil.test@", "evil.test\\@", "evil.test%2f@"])
def test_a_url_with_a_users_name_is_refused(user: str) -> None:
    with site() as place, names(pictures=["127.0.0.1"]) as asked:
        assert refusal(allowed(place), f"http://{user}{NAME}:{place.port}/bag").code == "image_url_not_allowed"
    assert not asked


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_to_an_allowed_host(status: int) -> None:
    with site() as place, site() as other, names(pictures=["127.0.0.1"], other=["127.0.0.1"]):
        place.redirect("/away", f"http://other.test:{other.port}/bag", status)
        assert fetch(allowed(place, f"other.test:{other.port}"), place.url("/away")) == PICTURE
    assert other.requests == [("/bag", f"other.test:{other.port}")]


@pytest.mark.parametrize(
    "location",
    [
        "http://other.test/bag", "//other.test/bag", "http://127.0.0.1:{port}/bag", "http://169.254.169.254/latest/",
        "file:///etc/passwd", "data:image/png;base64,AAAA", "http://me@pictures.test:{port}/bag", "ftp://pictures.test/",
        "http://pictures.test:22/", "https://", "http://[", "\\\\other.test\\bag", "http://a.internal.test:{port}/",
    ],
)  # fmt: skip
def test_a_redirect_leads_nowhere_else(location: str) -> None:
    with site() as place, names(pictures=["127.0.0.1"], other=["127.0.0.1"]) as asked:
        place.pages["/other.test/bag"] = place.pages["/%5C%5Cother.test%5Cbag"] = (404, {}, ())
        place.redirect("/away", location.format(port=place.port))
        refusal(allowed(place), place.url("/away"))
    assert set(asked) <= {NAME, "127.0.0.1"}
    assert "/bag" not in [path for path, _ in place.requests]


def test_a_redirect_to_a_host_whose_address_is_not_allowed_is_not_followed() -> None:
    with site() as place, names(pictures=["127.0.0.1"], other=["10.0.0.1"]):
        place.redirect("/away", "http://other.test/bag")
        assert "not public" in refusal(allowed(place, "other.test"), place.url("/away")).message


def test_a_few_redirects_are_followed_and_no_more() -> None:
    with site() as place, names(pictures=["127.0.0.1"]):
        for number in range(5):
            place.redirect(f"/{number}", f"/{number - 1}" if number else "/bag")
        assert fetch(allowed(place), place.url("/2")) == PICTURE
        assert "more than 3 redirects" in refusal(allowed(place), place.url("/3")).message


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_no_proxy_stands_between(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with site() as proxy, site() as place, names(pictures=["127.0.0.1"]):
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        assert fetch(allowed(place), place.url()) == PICTURE
    assert not proxy.requests


def test_a_redirect_without_a_goal_is_refused() -> None:
    with site() as place, names(pictures=["127.0.0.1"]):
        place.pages["/away"] = (302, {}, ())
        assert "302" in refusal(allowed(place), place.url("/away")).message


@pytest.mark.parametrize("status", [201, 204, 206, 300, 304, 400, 404, 500])
def test_an_answer_that_is_no_picture_is_refused(status: int) -> None:
    with site() as place, names(pictures=["127.0.0.1"]):
        place.pages["/bag"] = (status, {"Content-Length": "0"}, ())
        error = refusal(allowed(place), place.url())
    assert error.code == "image_url_unavailable"
    assert str(status) in error.message


def test_no_cookie_travels_from_one_host_to_another_at_the_same_address() -> None:
    with site() as place, names(pictures=["127.0.0.1"], other=["127.0.0.1"]):
        place.pages["/away"] = (302, {"Location": place.url(name="other.test"), "Set-Cookie": "a=secret"}, ())
        assert fetch(allowed(place, f"other.test:{place.port}"), place.url("/away")) == PICTURE
    assert [headers["Cookie"] for headers in place.headers] == [None, None]


def test_a_host_is_asked_for_a_picture_that_is_not_packed() -> None:
    with site() as place, names(pictures=["127.0.0.1"]):
        fetch(allowed(place), place.url())
    (headers,) = place.headers
    assert (headers["Accept"], headers["Accept-Encoding"]) == ("image/*", "identity")


def test_a_picture_of_the_largest_size_is_fetched_and_a_larger_one_is_not() -> None:
    with site() as place, names(pictures=["127.0.0.1"]):
        assert fetch(allowed(place, most_bytes=len(PICTURE)), place.url()) == PICTURE
        assert "more than" in refusal(allowed(place, most_bytes=len(PICTURE) - 1), place.url()).message


def test_a_body_that_does_not_end_is_left() -> None:
    with site() as place, names(pictures=["127.0.0.1"]):
        place.pages["/bag"] = (200, {}, repeat(bytes(65536)))
        assert "more than 1000000 bytes" in refusal(allowed(place, most_bytes=1_000_000), place.url()).message


def test_a_body_is_taken_as_it_comes_and_never_unpacked() -> None:
    with site() as place, names(pictures=["127.0.0.1"]):
        place.pages["/bag"] = (200, {"Content-Encoding": "gzip"}, (PICTURE,))
        assert fetch(allowed(place), place.url()) == PICTURE


def test_a_slow_body_is_not_waited_for() -> None:
    with site() as place, names(pictures=["127.0.0.1"]):
        place.pages["/bag"] = (200, {}, (b"" for _ in iter(lambda: place.closing.wait(10), True)))
        error = refusal(allowed(place, timeout=SHORT_S), place.url())
    assert f"within {SHORT_S:g} seconds" in error.message


def test_one_clock_bounds_all_redirects_together() -> None:
    def dripping(place: Site) -> Iterator[bytes]:
        while not place.closing.wait(SHORT_S / 10):
            yield b"x"

    with site() as place, names(pictures=["127.0.0.1"]):
        place.pages["/bag"] = (200, {}, dripping(place))
        place.redirect("/away", "/bag")
        assert "seconds" in refusal(allowed(place, timeout=SHORT_S), place.url("/away")).message


@pytest.mark.parametrize(
    "said",
    [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"\x00" * 100, b"HTTP/1.1 2"],
)
def test_a_host_that_does_not_speak_http_is_refused(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, names(pictures=["127.0.0.1"]):
        place = Site({}, listener.getsockname()[1])

        def speak() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(said)

        speaker = Thread(target=speak, daemon=True)
        speaker.start()
        assert refusal(allowed(place), place.url()).code == "image_url_unavailable"
        speaker.join(timeout=10)


def test_a_host_that_is_not_there_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = Site({}, taken.getsockname()[1])
    with names(pictures=["127.0.0.1"]):
        assert "cannot be reached" in refusal(allowed(place), place.url()).message


def test_a_name_without_an_address_is_refused() -> None:
    with names():
        assert refusal(RemoteImages([NAME]), f"http://{NAME}/").code == "image_url_unavailable"


class Authority:
    """Certificates of its own making."""

    def __init__(self, folder: Path, name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        text = certificate.public_bytes(Encoding.PEM)
        file = folder / "server.pem"
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + text)
        self.asked_for: list[str | None] = []
        self.trusted = ssl.create_default_context(cadata=text.decode())
        self._server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._server.load_cert_chain(file)
        self._server.sni_callback = lambda _, name, __: self.asked_for.append(name)

    def wrap(self, listener: socket.socket) -> socket.socket:
        return self._server.wrap_socket(listener, server_side=True, do_handshake_on_connect=False)


def test_a_host_proves_its_name_and_not_its_address(tmp_path: Path) -> None:
    authority = Authority(tmp_path, NAME)
    with site(wrap=authority.wrap) as place, names(pictures=["127.0.0.1"], other=["127.0.0.1"]):
        images = allowed(place, f"other.test:{place.port}", certificates=authority.trusted)
        assert fetch(images, f"https://{NAME}:{place.port}/bag") == PICTURE
        assert refusal(images, f"https://other.test:{place.port}/bag").code == "image_url_unavailable"
    assert authority.asked_for == [NAME, "other.test"]
    assert place.requests == [("/bag", f"{NAME}:{place.port}")]


def test_a_host_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path, NAME)
    with site(wrap=authority.wrap) as place, names(pictures=["127.0.0.1"]):
        assert refusal(allowed(place), f"https://{NAME}:{place.port}/bag").code == "image_url_unavailable"
    assert not place.requests


def test_each_host_proves_its_name_anew_after_a_redirect(tmp_path: Path) -> None:
    authority = Authority(tmp_path, NAME)
    with site(wrap=authority.wrap) as place, names(pictures=["127.0.0.1"], other=["127.0.0.1"]):
        place.pages["/away"] = (302, {"Location": f"https://other.test:{place.port}/bag", "Content-Length": "0"}, ())
        images = allowed(place, f"other.test:{place.port}", certificates=authority.trusted)
        assert refusal(images, f"https://{NAME}:{place.port}/away").code == "image_url_unavailable"
    assert [path for path, _ in place.requests] == ["/away"]


def test_no_redirect_leads_from_a_proven_host_to_an_unproven_one(tmp_path: Path) -> None:
    authority = Authority(tmp_path, NAME)
    with site(wrap=authority.wrap) as place, site() as plain, names(pictures=["127.0.0.1"], other=["127.0.0.1"]):
        place.redirect("/away", f"http://other.test:{plain.port}/bag")
        images = allowed(place, f"other.test:{plain.port}", certificates=authority.trusted)
        assert "https to http" in refusal(images, f"https://{NAME}:{place.port}/away").message
    assert not plain.requests


@pytest.mark.parametrize(
    "entry",
    ["", "*", "*.example.org", "https://example.org", "example.org/pictures", "a b", "me@example.org", "example.org?x",
     "example.org.", "example.org:0", "example.org:70000", "-x.example", "10.0.0.1/8", "300.0.0.0/8", "[::1", "a\x00b"],
)  # fmt: skip
def test_an_entry_that_is_neither_a_host_nor_a_network_is_noticed_at_the_start(entry: str) -> None:
    with pytest.raises(Misconfigured) as error:
        RemoteImages([entry])
    assert "host name" in error.value.hint


def test_a_name_in_another_script_is_the_same_in_both_of_its_spellings() -> None:
    with names(**{"xn--bcher-kva": ["10.0.0.1"]}) as asked:
        for entry in ("bücher.test", "BÜCHER.test", "xn--bcher-kva.test"):
            for url in ("http://bücher.test/", "http://xn--bcher-kva.test/"):
                assert "not public" in refusal(RemoteImages([entry]), url).message
    assert set(asked) == {"xn--bcher-kva.test"}


HOSTS = st.sampled_from([NAME, NAME.upper(), f"{NAME}.", "evil.test", "127.0.0.1", "[::1]", "", "p\u0131ctures.test"])
ODD = st.text("/\\@:?#[]%.;&=+ \t\r\n\x00\u2028\ud800éa1", max_size=8)
URLS = st.one_of(
    st.text(max_size=60),
    st.builds("".join, st.tuples(st.sampled_from(["http", "https", "HTTP", "file", ""]), ODD, HOSTS, ODD, HOSTS, ODD)),
    st.builds("".join, st.tuples(st.sampled_from(["http://", "https://"]), ODD, HOSTS, ODD)),
)


@given(URLS)
def test_whatever_a_url_looks_like_it_is_refused_or_leads_to_the_allowed_host(url: str) -> None:
    with names(pictures=["10.0.0.1"]) as asked:
        refusal(RemoteImages([NAME]), url)
    assert set(asked) <= {NAME}


@given(st.one_of(URLS, st.text(st.characters(max_codepoint=255), max_size=60)))
def test_wherever_a_redirect_points_it_is_refused_or_leads_to_the_allowed_host(location: str) -> None:
    raw = location.encode("utf-8", "replace").replace(b"\r", b"").replace(b"\n", b"").decode("latin-1")
    with names(pictures=["127.0.0.1"]) as asked, one_answer(f"HTTP/1.1 302 Found\r\nLocation: {raw}\r\n\r\n") as port:
        place = Site({}, port)
        refusal(allowed(place, timeout=5), place.url())
    assert set(asked) <= {NAME, "127.0.0.1"}


@contextmanager
def one_answer(said: str) -> Iterator[int]:
    """A host that answers its first caller and is gone; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            listener.close()
            with connection:
                connection.recv(65536)
                connection.sendall(said.encode("latin-1"))

        thread = Thread(target=answer, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(timeout=10)
