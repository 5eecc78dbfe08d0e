from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import anyio
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from mcp.server.auth.provider import AccessToken, TokenVerifier
from xray_servers.access import BearerTokens, FirstOf, JwtTokens, KeysAtUrl, new_token, owner_of, signing_keys

from xray_agent_tools.errors import InvalidArgument, Misconfigured

ISSUER = "https://id.example"
AUDIENCE = "https://xray.example/mcp"

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ANOTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
WEAK_RSA = rsa.generate_private_key(public_exponent=65537, key_size=1024)
ELLIPTIC = ec.generate_private_key(ec.SECP256R1())
EDWARDS = ed25519.Ed25519PrivateKey.generate()


def jwk_of(key: Any, kid: str, algorithm: str, **changes: Any) -> dict[str, Any]:
    as_jwk = jwt.get_algorithm_by_name(algorithm).to_jwk(key, as_dict=True)
    return {**as_jwk, "kid": kid, "alg": algorithm, "use": "sig", **changes}


RSA_JWK = jwk_of(RSA.public_key(), "rsa", "RS256")
JWKS = {
    "keys": [
        RSA_JWK,
        jwk_of(RSA.public_key(), "pss", "PS256"),
        jwk_of(ELLIPTIC.public_key(), "elliptic", "ES256"),
        jwk_of(EDWARDS.public_key(), "edwards", "EdDSA"),
        jwk_of(WEAK_RSA.public_key(), "weak", "RS256"),
    ]
}


def claims_of(**changes: Any) -> dict[str, Any]:
    """The claims of a good token; None takes one away."""
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "officer-7", "exp": int(time.time()) + 600, "scope": "screen"}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def signed(key: Any = RSA, *, kid: str | None = "rsa", algorithm: str = "RS256", **changes: Any) -> str:
    return jwt.encode(claims_of(**changes), key, algorithm=algorithm, headers={"kid": kid} if kid else None)


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def answer_of(verifier: TokenVerifier, token: str) -> AccessToken | None:
    return anyio.run(verifier.verify_token, token)


def known(verifier: TokenVerifier, token: str) -> AccessToken:
    answer = answer_of(verifier, token)
    assert answer is not None
    return answer


@pytest.fixture(scope="module")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "jwks.json"
    path.write_text(json.dumps(JWKS))
    return path


@pytest.fixture(scope="module")
def tokens(keys_file: Path) -> JwtTokens:
    return JwtTokens(issuer=ISSUER, audience=AUDIENCE, keys=signing_keys(str(keys_file)))


# Bearer tokens in a file


def test_a_new_token_opens_the_door_by_its_line(tmp_path: Path) -> None:
    token, line = new_token("lane-3")
    (tmp_path / "tokens").write_text(line)
    answer = known(BearerTokens(tmp_path / "tokens"), token)
    assert answer == AccessToken(token=token, client_id="lane-3", subject="lane-3", scopes=["screen"])


def test_a_new_token_is_recognisable_long_random_and_not_in_its_line() -> None:
    token, line = new_token("a")
    assert token.startswith("xray_")
    assert len(base64.urlsafe_b64decode(token.removeprefix("xray_") + "=")) == 32
    assert token != new_token("a")[0]
    assert line == f"a sha256:{hashlib.sha256(token.encode()).hexdigest()}"


@pytest.mark.parametrize("name", ["", "a b", "a\n", "é", "a#b", "x" * 65])
def test_a_name_that_the_file_could_not_hold_makes_no_token(name: str) -> None:
    with pytest.raises(InvalidArgument, match="1 to 64"):
        new_token(name)


def test_scopes_comments_blank_lines_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    (first, first_line), (second, second_line) = new_token("first"), new_token("second")
    lines = ["\ufeff# who may call", "", f"{first_line} screen upload:scans  # lane 1", "   ", second_line.upper()]
    lines[-1] = lines[-1].replace("SHA256:", "sha256:")
    (tmp_path / "tokens").write_text("\n".join(lines), encoding="utf-8")
    bearer = BearerTokens(tmp_path / "tokens", resource=AUDIENCE)
    assert known(bearer, first).scopes == ["screen", "upload:scans"]
    assert known(bearer, second).client_id == "SECOND"
    assert known(bearer, second).resource == AUDIENCE


def test_each_of_many_tokens_answers_with_its_own_name(tmp_path: Path) -> None:
    made = {name: new_token(name) for name in ("a", "b", "c", "d")}
    (tmp_path / "tokens").write_text("\n".join(line for _, line in made.values()))
    bearer = BearerTokens(tmp_path / "tokens")
    assert {name: known(bearer, token).client_id for name, (token, _) in made.items()} == {name: name for name in made}


@given(token=st.text() | st.text(alphabet=st.characters(categories=["Cs"])))
def test_no_made_up_token_is_known(token: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "made-up-tokens"
    if not path.exists():
        path.write_text(new_token("somebody")[1])
    assert answer_of(BearerTokens(path), token) is None


def test_neither_the_hash_nor_a_part_of_a_token_is_the_token(tmp_path: Path) -> None:
    token, line = new_token("a")
    (tmp_path / "tokens").write_text(line)
    bearer = BearerTokens(tmp_path / "tokens")
    digest = line.split()[1]
    for wrong in (digest, digest.removeprefix("sha256:"), token[:-1], token + " ", token.upper(), "", "a", line):
        assert answer_of(bearer, wrong) is None


HASH = "sha256:" + "0" * 64
OTHER_HASH = "sha256:" + "1" * 64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no token"),
        ("# nobody yet\n\n", "holds no token"),
        ("alice", "line 1 .* 64 hexadecimal digits"),
        ("\nalice sha256:abc", "line 2 .* 64 hexadecimal digits"),
        (f"alice {HASH.removeprefix('sha256:')}", "line 1 .* 64 hexadecimal digits"),
        (f"al/ice {HASH}", "line 1 .* no valid name"),
        (f"{'x' * 65} {HASH}", "line 1 .* no valid name"),
        (f"alice {HASH} screen,upload", "line 1 .* scope"),
        (f"alice {HASH}\nalice {OTHER_HASH}", "line 2 .* uses a name again: alice"),
        (f"alice {HASH}\nbob {HASH.upper().replace('SHA', 'sha')}", "line 2 .* hash of alice"),
        (f"alice sha256:{hashlib.sha256(b'').hexdigest()}", "line 1 .* hash of the empty token"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line_and_the_next_step(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "tokens").write_text(text)
    with pytest.raises(Misconfigured, match=message) as caught:
        BearerTokens(tmp_path / "tokens")
    assert str(tmp_path / "tokens") in caught.value.message
    assert caught.value.hint


def test_a_token_written_where_its_hash_belongs_is_not_quoted(tmp_path: Path) -> None:
    token, _ = new_token("alice")
    (tmp_path / "tokens").write_text(f"alice {token}")
    with pytest.raises(Misconfigured) as caught:
        BearerTokens(tmp_path / "tokens")
    assert token not in str(caught.value)


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("missing", "binary", "."):
        with pytest.raises(Misconfigured, match="cannot be read"):
            BearerTokens(tmp_path / name)


def test_a_deleted_line_stops_its_token_and_a_new_line_starts_one(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    (kept, kept_line), (lost, lost_line), (late, late_line) = (new_token(name) for name in ("kept", "lost", "late"))
    path.write_text(f"{kept_line}\n{lost_line}\n")
    bearer = BearerTokens(path)
    assert known(bearer, lost).client_id == "lost"
    path.write_text(f"{kept_line}\n")
    assert answer_of(bearer, lost) is None
    path.write_text(f"{kept_line}\n{late_line}\n")
    assert [known(bearer, token).client_id for token in (kept, late)] == ["kept", "late"]


def test_a_replaced_file_of_equal_size_and_time_is_read_again(tmp_path: Path) -> None:
    path, fresh = tmp_path / "tokens", tmp_path / "fresh"
    (old, old_line), (new, new_line) = new_token("a"), new_token("a")
    path.write_text(old_line)
    bearer = BearerTokens(path)
    fresh.write_text(new_line)
    os.utime(fresh, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    fresh.replace(path)
    assert answer_of(bearer, old) is None
    assert known(bearer, new).client_id == "a"


def test_a_file_that_breaks_keeps_everybody_out_until_it_is_mended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tokens"
    token, line = new_token("a")
    path.write_text(line)
    bearer = BearerTokens(path)
    path.write_text(f"{line}\nnonsense")
    assert answer_of(bearer, token) is None
    assert answer_of(bearer, token) is None
    assert [(record.levelname, "line 2" in record.getMessage()) for record in caplog.records] == [("ERROR", True)]
    path.unlink()
    assert answer_of(bearer, token) is None
    path.write_text(line)
    assert known(bearer, token).client_id == "a"


# Signed tokens


@pytest.mark.parametrize(
    ("key", "kid", "algorithm"),
    [
        (RSA, "rsa", "RS256"),
        (RSA, "pss", "PS256"),
        (ELLIPTIC, "elliptic", "ES256"),
        (EDWARDS, "edwards", "EdDSA"),
    ],
)
def test_a_good_token_of_every_algorithm_is_known(tokens: JwtTokens, key: Any, kid: str, algorithm: str) -> None:
    expiry = int(time.time()) + 60
    token = signed(key, kid=kid, algorithm=algorithm, exp=expiry, client_id="agent", scope="screen upload")
    answer = known(tokens, token)
    assert (answer.token, answer.subject, answer.client_id) == (token, "officer-7", "agent")
    assert (answer.scopes, answer.expires_at, answer.resource) == (["screen", "upload"], expiry, AUDIENCE)
    assert answer.claims is not None
    assert answer.claims["iss"] == ISSUER


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "screen"}, ["screen"]),
        ({"scope": ["screen", "x"]}, ["screen", "x"]),
        ({"scope": None, "scp": ["screen", "x"]}, ["screen", "x"]),
        ({"scope": None, "scp": "screen x"}, ["screen", "x"]),
        ({"scope": None}, []),
    ],
)
def test_scopes_are_read_in_each_way_that_issuers_write_them(
    tokens: JwtTokens, claims: dict[str, Any], scopes: list[str]
) -> None:
    assert known(tokens, signed(**claims)).scopes == scopes


@pytest.mark.parametrize(
    ("claims", "client", "subject"),
    [
        ({"client_id": "c", "azp": "z"}, "c", "officer-7"),
        ({"azp": "z"}, "z", "officer-7"),
        ({}, "officer-7", "officer-7"),
        ({"client_id": "c", "sub": None}, "c", None),
        ({"client_id": "c", "sub": ""}, "c", None),
    ],
)
def test_client_and_subject_come_from_the_claims(
    tokens: JwtTokens, claims: dict[str, Any], client: str, subject: str | None
) -> None:
    answer = known(tokens, signed(**claims))
    assert (answer.client_id, answer.subject) == (client, subject)


@pytest.mark.parametrize("audience", [AUDIENCE + "/", ["https://other.example", AUDIENCE]])
def test_an_audience_with_a_slash_or_among_others_is_this_server(tokens: JwtTokens, audience: Any) -> None:
    assert known(tokens, signed(aud=audience)).resource == AUDIENCE


def test_small_differences_between_clocks_are_forgiven(tokens: JwtTokens) -> None:
    now = int(time.time())
    differences: list[dict[str, Any]] = [{"nbf": now + 10}, {"iat": now + 10}, {"exp": now - 10}]
    for claims in differences:
        assert known(tokens, signed(**claims)).subject == "officer-7"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": 1_700_000_000}, "ExpiredSignatureError"),
        ({"exp": None}, "MissingRequiredClaimError"),
        ({"exp": "soon"}, "DecodeError"),
        ({"exp": float("inf")}, "DecodeError"),
        ({"nbf": 32_000_000_000}, "ImmatureSignatureError"),
        ({"aud": "https://other.example"}, "InvalidAudienceError"),
        ({"aud": AUDIENCE + "/admin"}, "InvalidAudienceError"),
        ({"aud": None}, "MissingRequiredClaimError"),
        ({"iss": "https://evil.example"}, "InvalidIssuerError"),
        ({"iss": ISSUER + "/"}, "InvalidIssuerError"),
        ({"iss": None}, "MissingRequiredClaimError"),
        ({"sub": None}, "it names neither subject nor client"),
        ({"sub": 7}, "InvalidSubjectError"),
        ({"client_id": ["a"]}, "ValidationError"),
        ({"scope": {"screen": True}}, "ValidationError"),
        ({"scope": [1]}, "ValidationError"),
    ],
)
def test_a_signed_token_with_wrong_claims_is_refused_and_the_log_says_why(
    tokens: JwtTokens, caplog: pytest.LogCaptureFixture, claims: dict[str, Any], reason: str
) -> None:
    assert answer_of(tokens, signed(**claims)) is None
    assert caplog.messages == [f"refused a signed token: {reason}"]


def unsigned() -> str:
    return jwt.encode(claims_of(), "", algorithm="none", headers={"kid": "rsa"})


def signed_with_the_public_key() -> str:
    # PyJWT refuses to make this one, so it is made by hand: the public key taken as an HMAC secret.
    secret = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = base64url(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "rsa"}).encode())
    body = base64url(json.dumps(claims_of()).encode())
    return f"{head}.{body}.{base64url(hmac.digest(secret, f'{head}.{body}'.encode(), 'sha256'))}"


def with_other_claims() -> str:
    head, _, signature = signed().split(".")
    return f"{head}.{base64url(json.dumps(claims_of(sub='admin')).encode())}.{signature}"


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (unsigned(), "InvalidAlgorithmError"),
        (signed_with_the_public_key(), "InvalidAlgorithmError"),
        (with_other_claims(), "InvalidSignatureError"),
        (signed().rpartition(".")[0] + ".", "InvalidSignatureError"),
        (signed(ANOTHER_RSA), "InvalidSignatureError"),
        (signed(kid=None), "it names no key"),
        (signed(kid="nobody"), "its key is unknown"),
        (signed(kid="pss"), "InvalidAlgorithmError"),
        (signed(kid="elliptic"), "InvalidAlgorithmError"),
        (signed(algorithm="RS512"), "InvalidAlgorithmError"),
        ("", "DecodeError"),
        ("a.b.c", "DecodeError"),
        (new_token("a")[0], "DecodeError"),
    ],
    ids=lambda value: value if len(value) < 40 else "token",
)
def test_a_token_that_the_issuer_did_not_sign_so_is_refused(
    tokens: JwtTokens, caplog: pytest.LogCaptureFixture, token: str, reason: str
) -> None:
    assert answer_of(tokens, token) is None
    assert caplog.messages == [f"refused a signed token: {reason}"]


@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
def test_a_signature_by_a_key_too_short_is_refused(tokens: JwtTokens, caplog: pytest.LogCaptureFixture) -> None:
    assert answer_of(tokens, signed(WEAK_RSA, kid="weak")) is None
    assert caplog.messages == ["refused a signed token: InvalidKeyError"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def lookalike(parts: tuple[Any, Any, bytes]) -> str:
    head, body, signature = parts
    encoded = (base64url(json.dumps(part).encode()) for part in (head, body))
    return ".".join((*encoded, base64url(signature)))


HEADS = st.fixed_dictionaries(
    {},
    optional={
        "alg": st.sampled_from(["RS256", "ES256", "EdDSA", "HS256", "none", "None", ""]) | JSON,
        "kid": st.sampled_from(["rsa", "elliptic", "edwards"]) | JSON,
        "crit": JSON,
        "b64": JSON,
        "jwk": st.just(RSA_JWK),
        "jku": st.just("http://127.0.0.1:9/"),
    },
)
LOOKALIKES = st.tuples(HEADS | JSON, st.builds(claims_of) | JSON, st.binary(max_size=300)).map(lookalike)


@given(token=st.text() | LOOKALIKES)
def test_no_garbage_is_known_and_none_of_it_reaches_the_log(tokens: JwtTokens, token: str) -> None:
    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("xray_servers.access.signed")
    logger.addHandler(handler)
    try:
        assert answer_of(tokens, token) is None
    finally:
        logger.removeHandler(handler)
    assert len(records) == 1
    assert len(records[0]) < 80
    assert not any(len(part) > 30 and part in records[0] for part in token.split("."))


@given(position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_token_with_one_bit_changed_is_refused(tokens: JwtTokens, position: int, bit: int) -> None:
    raw = bytearray(signed(exp=32_000_000_000).encode())
    raw[position % len(raw)] ^= 1 << bit
    assert answer_of(tokens, raw.decode("latin-1")) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"issuer": ""}, "no issuer"),
        ({"issuer": "two words"}, "no issuer"),
        ({"audience": " "}, "no audience"),
        ({"leeway": -1.0}, "out of range"),
        ({"leeway": 301.0}, "out of range"),
        ({"leeway": float("nan")}, "out of range"),
    ],
)
def test_unusable_settings_are_refused(keys_file: Path, changes: dict[str, Any], message: str) -> None:
    settings: dict[str, Any] = {"issuer": ISSUER, "audience": AUDIENCE, "keys": signing_keys(str(keys_file))}
    with pytest.raises(Misconfigured, match=message):
        JwtTokens(**{**settings, **changes})


# Keys in a file


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is no key set"),
        ("[]", "no JSON object"),
        ("{}", "did not contain any keys"),
        ('{"keys": []}', "did not contain any keys"),
        ('{"keys": [{"kty": "RSA", "alg": ["RS256"]}]}', "is no key set"),
        ('{"keys": [{"kty": "oct"}]}', "is no key set"),
        ('{"keys": [{"kty": "OKP", "crv": "Ed25519"}]}', "did not contain any usable keys"),
        (json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "a"}]}), "no key that can be used"),
        (json.dumps({"keys": [{**RSA_JWK, "kid": None}]}), "no key that can be used"),
        (json.dumps({"keys": [{**RSA_JWK, "use": "enc"}]}), "no key that can be used"),
        (json.dumps({"keys": [{**RSA_JWK, "alg": "RS512"}]}), "no key that can be used"),
        (json.dumps({"keys": [jwk_of(RSA, "rsa", "RS256")]}), "private key"),
    ],
)
def test_a_file_without_a_usable_public_key_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "jwks.json").write_text(content)
    with pytest.raises(Misconfigured, match=message):
        signing_keys(str(tmp_path / "jwks.json"))


def test_a_missing_key_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        signing_keys(str(tmp_path / "missing.json"))


@given(
    content=JSON
    | st.fixed_dictionaries(
        {
            "keys": st.lists(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "kty": st.sampled_from(["RSA", "EC", "OKP", "oct"]) | JSON,
                        "alg": st.sampled_from(["RS256", "ES256", "EdDSA"]) | JSON,
                        "crv": st.sampled_from(["P-256", "Ed25519"]) | JSON,
                        "kid": JSON,
                        "use": JSON,
                        "n": JSON,
                        "e": JSON,
                        "x": JSON,
                        "y": JSON,
                    },
                ),
                max_size=2,
            )
        }
    )
)
def test_no_nonsense_is_taken_for_keys(content: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "nonsense.json"
    path.write_text(json.dumps(content))
    with pytest.raises(Misconfigured):
        signing_keys(str(path))


def test_a_key_file_is_followed_and_fails_closed(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(JWKS))
    verifier = JwtTokens(issuer=ISSUER, audience=AUDIENCE, keys=signing_keys(str(path)))
    old, new = signed(), signed(ANOTHER_RSA, kid="new")
    assert known(verifier, old).subject == "officer-7"
    path.write_text(json.dumps({"keys": [jwk_of(ANOTHER_RSA.public_key(), "new", "RS256")]}))
    assert answer_of(verifier, old) is None
    assert known(verifier, new).subject == "officer-7"
    path.write_text("{")
    assert answer_of(verifier, new) is None


# Keys at a URL


@dataclass
class KeyServer:
    """A JWKS endpoint whose answer a test can change."""

    url: str
    body: bytes = field(default_factory=lambda: json.dumps(JWKS).encode())
    status: int = 200
    fetches: int = 0
    silent: bool = False
    dripping: bool = False
    asked: Event = field(default_factory=Event)
    finished: Event = field(default_factory=Event)


@contextmanager
def key_server() -> Iterator[KeyServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.fetches += 1
            state.asked.set()
            if state.silent:
                state.finished.wait(10)
            self.send_response(state.status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(state.body)))
            self.end_headers()
            while state.dripping and not state.finished.wait(0.02):
                self.wfile.write(b" ")
            self.wfile.write(state.body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = KeyServer(f"http://127.0.0.1:{server.server_address[1]}/jwks")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.finished.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with key_server() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def remote(server: KeyServer, clock: Clock) -> JwtTokens:
    return JwtTokens(issuer=ISSUER, audience=AUDIENCE, keys=KeysAtUrl(server.url, timeout=5, clock=clock))


def test_keys_are_fetched_once_for_many_tokens(server: KeyServer, remote: JwtTokens) -> None:
    async def ask_at_once() -> list[AccessToken | None]:
        answers: list[AccessToken | None] = []

        async def ask() -> None:
            answers.append(await remote.verify_token(signed()))

        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(ask)
        return answers

    answers = anyio.run(ask_at_once)
    assert len(answers) == 8
    assert all(answers)
    assert server.fetches == 1


def test_a_place_that_is_a_url_is_fetched(server: KeyServer) -> None:
    verifier = JwtTokens(issuer=ISSUER, audience=AUDIENCE, keys=signing_keys(server.url))
    assert known(verifier, signed()).subject == "officer-7"
    assert server.fetches == 1


def test_a_new_key_is_found_by_its_unknown_id(server: KeyServer, remote: JwtTokens, clock: Clock) -> None:
    new = signed(ANOTHER_RSA, kid="new")
    assert known(remote, signed()).subject == "officer-7"
    server.body = json.dumps({"keys": [jwk_of(ANOTHER_RSA.public_key(), "new", "RS256")]}).encode()
    clock.now += 31
    assert known(remote, new).subject == "officer-7"
    assert answer_of(remote, signed()) is None


def test_made_up_key_ids_cause_one_fetch_in_half_a_minute(server: KeyServer, remote: JwtTokens, clock: Clock) -> None:
    for number in range(20):
        assert answer_of(remote, signed(kid=f"made-up-{number}")) is None
    assert server.fetches == 1
    clock.now += 31
    assert answer_of(remote, signed(kid="made-up")) is None
    assert server.fetches == 2


def test_a_url_that_fails_is_asked_once_in_half_a_minute(server: KeyServer, remote: JwtTokens, clock: Clock) -> None:
    server.status = 503
    for _ in range(5):
        assert answer_of(remote, signed()) is None
    assert server.fetches == 1
    server.status = 200
    clock.now += 31
    assert known(remote, signed()).subject == "officer-7"


def test_a_key_that_was_withdrawn_stops_after_five_minutes(server: KeyServer, remote: JwtTokens, clock: Clock) -> None:
    assert known(remote, signed()).subject == "officer-7"
    server.body = json.dumps({"keys": [jwk_of(ANOTHER_RSA.public_key(), "new", "RS256")]}).encode()
    clock.now += 299
    assert known(remote, signed()).subject == "officer-7"
    clock.now += 2
    assert answer_of(remote, signed()) is None


def test_fetched_keys_outlive_an_outage_of_an_hour_and_no_longer(
    server: KeyServer, remote: JwtTokens, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    assert known(remote, signed()).subject == "officer-7"
    server.status = 503
    clock.now += 3599
    assert known(remote, signed()).subject == "officer-7"
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "503" in caplog.messages[0]
    clock.now += 2
    assert answer_of(remote, signed()) is None


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"\xff\xfe", b'{"keys": []}', json.dumps({"keys": [jwk_of(RSA, "rsa", "RS256")]}).encode()],
)
def test_an_answer_that_holds_no_public_keys_lets_nobody_in(
    server: KeyServer, remote: JwtTokens, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    server.body = body
    assert answer_of(remote, signed()) is None
    assert caplog.messages[0].startswith(f"no signing keys from {server.url} (")


def test_a_redirect_to_other_keys_is_not_followed(server: KeyServer, remote: JwtTokens) -> None:
    server.status = 302
    assert answer_of(remote, signed()) is None
    assert server.fetches == 1


def test_a_url_where_nobody_listens_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    with key_server() as gone:
        url = gone.url
    verifier = JwtTokens(issuer=ISSUER, audience=AUDIENCE, keys=signing_keys(url))
    assert answer_of(verifier, signed()) is None
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_a_silent_url_is_given_up_while_the_server_goes_on(server: KeyServer) -> None:
    server.silent = True
    verifier = JwtTokens(issuer=ISSUER, audience=AUDIENCE, keys=KeysAtUrl(server.url, timeout=0.1))
    finished: list[str] = []

    async def ask() -> None:
        assert await verifier.verify_token(signed()) is None
        finished.append("refused")

    async def work() -> None:
        await anyio.lowlevel.checkpoint()
        finished.append("other work")

    async def both() -> None:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(ask)
                group.start_soon(work)

    anyio.run(both)
    assert finished == ["other work", "refused"]


def test_a_caller_who_hangs_up_does_not_cost_the_next_one_the_keys(server: KeyServer, remote: JwtTokens) -> None:
    server.silent = True

    async def hang_up() -> AccessToken | None:
        async with anyio.create_task_group() as group:
            group.start_soon(remote.verify_token, signed(kid="made-up"))
            await anyio.to_thread.run_sync(server.asked.wait, 10)
            group.cancel_scope.cancel()
            server.finished.set()
        return await remote.verify_token(signed())

    assert anyio.run(hang_up) is not None
    assert server.fetches == 1


def test_an_answer_drop_by_drop_is_given_up(server: KeyServer, caplog: pytest.LogCaptureFixture) -> None:
    server.dripping = True
    verifier = JwtTokens(issuer=ISSUER, audience=AUDIENCE, keys=KeysAtUrl(server.url, timeout=0.2))
    started = time.monotonic()
    assert answer_of(verifier, signed()) is None
    assert time.monotonic() - started < 5
    assert caplog.messages[0] == f"no signing keys from {server.url} (TimeoutError: )"


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example/jwks",
        "http://127.0.0.1.evil.example/jwks",
        "http://localhost@id.example/jwks",
        "http://10.0.0.1/jwks",
        "ftp://id.example/jwks",
        "file:///etc/passwd",
        "https://",
        "http://[::1/jwks",
        "://",
    ],
)
def test_a_url_that_could_be_forged_on_the_way_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured, match="https"):
        signing_keys(url)


@pytest.mark.parametrize(
    "url", ["https://id.example/jwks", "http://localhost:1/jwks", "http://127.0.0.2:1/jwks", "http://[::1]:1/jwks"]
)
def test_an_https_or_loopback_url_is_taken_without_a_fetch(url: str) -> None:
    assert isinstance(signing_keys(url), KeysAtUrl)


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("inf"), float("nan")])
def test_a_timeout_that_is_none_is_refused(timeout: float) -> None:
    with pytest.raises(Misconfigured, match="timeout"):
        signing_keys("https://id.example/jwks", timeout=timeout)


# Several verifiers, and the owner


def test_the_first_verifier_that_knows_a_token_answers(tmp_path: Path, tokens: JwtTokens) -> None:
    token, line = new_token("lane-3")
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"{line} {name}")
    either = FirstOf([BearerTokens(tmp_path / "one"), BearerTokens(tmp_path / "two"), tokens])
    assert known(either, token).scopes == ["one"]
    assert known(either, signed()).subject == "officer-7"
    assert answer_of(either, new_token("lane-3")[0]) is None
    assert answer_of(FirstOf([]), token) is None


def test_nobody_owns_nothing() -> None:
    assert owner_of(None) == ""


def test_an_owner_keeps_its_name_over_new_tokens_and_clients(tokens: JwtTokens) -> None:
    first = known(tokens, signed(client_id="laptop"))
    later = known(tokens, signed(client_id="phone", scope="screen upload"))
    assert owner_of(first) == owner_of(later) == f'["{ISSUER}", "officer-7", null]'


PRINCIPALS = st.tuples(st.none() | st.text(), st.none() | st.text(min_size=1), st.text(min_size=1))


@given(one=PRINCIPALS, other=PRINCIPALS)
def test_two_principals_never_share_a_name(
    one: tuple[str | None, str | None, str], other: tuple[str | None, str | None, str]
) -> None:
    def name(issuer: str | None, subject: str | None, client: str) -> str:
        claims = None if issuer is None else {"iss": issuer}
        return owner_of(AccessToken(token="t", client_id=client, scopes=[], subject=subject, claims=claims))

    def principal(issuer: str | None, subject: str | None, client: str) -> tuple[str | None, str | None, str | None]:
        return issuer, subject, None if subject else client

    assert (name(*one) == name(*other)) == (principal(*one) == principal(*other))
    assert name(*one) != ""


def test_a_bearer_token_and_a_signed_token_of_one_name_are_two_owners(tmp_path: Path, tokens: JwtTokens) -> None:
    token, line = new_token("officer-7")
    (tmp_path / "tokens").write_text(line)
    bearer = known(BearerTokens(tmp_path / "tokens"), token)
    assert owner_of(bearer) == '[null, "officer-7", null]'
    assert owner_of(bearer) != owner_of(known(tokens, signed()))
