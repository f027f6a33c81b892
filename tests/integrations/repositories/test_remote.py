"""The forge's side: its token goes to it alone, and each refusal says what would mend it. Real servers, real git."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.domain.errors import ContentTooLarge, RepositoryUnavailable, UnknownCommit
from app.integrations.repositories.git import Git, GitLimits
from app.integrations.repositories.mirror import Mirror
from app.integrations.repositories.remote import Remote
from tests.integrations.repositories.test_mirror import KEY, MAIN, Origin
from tests.ports import free_port

TOKEN = "s3cret-api-token"
BASIC = "Basic " + base64.b64encode(f"{TOKEN}:".encode()).decode()


@dataclass
class Forge:
    """A forge over (dumb) HTTP: files below a folder; it may ask for the token, redirect, or answer an error."""

    root: Path
    port: int = 0
    asks: bool = False
    redirect: str | None = None
    error: int | None = None
    endless: bool = False
    seen: list[tuple[str, str | None]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/acme/shop.git"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        auth = handler.headers.get("Authorization")
        self.seen.append((handler.path, auth))
        file = self.root / handler.path.partition("?")[0].lstrip("/")
        if self.redirect is not None:
            handler.send_response(302)
            handler.send_header("Location", self.redirect + handler.path)
        elif self.error is not None:
            handler.send_response(self.error)
        elif self.asks and auth != BASIC:
            handler.send_response(401)
            handler.send_header("WWW-Authenticate", 'Basic realm="forge"')
        elif self.endless:
            handler.send_response(200)
            handler.send_header("Content-Type", "application/x-git-upload-pack-advertisement")
            handler.end_headers()
            handler.wfile.write(b"001e# service=git-upload-pack\n0000")
            while True:
                handler.wfile.write(b"003f" + b"1" * 40 + b" refs/heads/abcdefgh\n" * 1)
        elif file.is_file():
            handler.send_response(200)
            handler.end_headers()
            handler.wfile.write(file.read_bytes())
            return
        else:
            handler.send_response(404)
        handler.send_header("Content-Length", "0")
        handler.end_headers()


def start(stack: ExitStack, forge: Forge) -> Forge:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                forge.answer(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    forge.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
    return forge


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    bare, work = tmp_path / "acme" / "shop.git", tmp_path / "work"
    work.mkdir()
    subprocess.run(["git", "init", "-q", "--bare", str(bare)], check=True)
    made = Origin(bare, work)
    made.git("init", "-q", "-b", "main")
    made.git("remote", "add", "origin", str(bare))
    return made


@pytest.fixture
def forge(stack: ExitStack, tmp_path: Path) -> Forge:
    return start(stack, Forge(tmp_path))


def mirror_of(tmp_path: Path, url: str, token: str | None = TOKEN, **limits: float) -> Mirror:
    environ = {"PATH": os.environ["PATH"]}
    made = GitLimits(**limits)  # type: ignore[arg-type] # the tests name whole numbers where it wants them
    return Mirror(tmp_path / "mirrors", lambda _: url, lambda _: token, environ=environ, limits=made)


def publish(origin: Origin) -> None:
    subprocess.run(["git", "update-server-info"], cwd=origin.bare, check=True)


def test_the_token_goes_to_the_forge(origin: Origin, forge: Forge, tmp_path: Path) -> None:
    sha = origin.commit("one")
    publish(origin)
    forge.asks = True
    assert mirror_of(tmp_path, forge.url).fetch(KEY, MAIN, sha) == sha
    assert {auth for _, auth in forge.seen} == {BASIC}


@pytest.mark.parametrize("by", ["fetch", "head"])
def test_invariant_13_the_token_does_not_follow_a_redirect(
    origin: Origin, forge: Forge, stack: ExitStack, tmp_path: Path, by: str
) -> None:
    origin.commit("one")
    publish(origin)
    other = start(stack, Forge(tmp_path))
    forge.redirect = f"http://localhost:{other.port}"
    mirror = mirror_of(tmp_path, forge.url)
    with pytest.raises(RepositoryUnavailable, match=r"redirects to another address.*clone.* of \[forges\.gogs\]"):
        mirror.fetch(KEY, MAIN, "1" * 40) if by == "fetch" else mirror.head(KEY, MAIN)
    assert forge.seen and other.seen == []


def test_the_token_does_not_go_where_alternates_lead(origin: Origin, forge: Forge, stack: ExitStack, tmp_path: Path) -> None:
    """A dumb server can name other servers for the objects (objects/info/http-alternates)."""
    sha = origin.commit("one")
    publish(origin)
    (elsewhere := tmp_path / "elsewhere").mkdir()
    shutil.move(origin.bare / "objects", elsewhere / "objects")
    (origin.bare / "objects/info").mkdir(parents=True)
    other = start(stack, Forge(elsewhere))
    (origin.bare / "objects/info/http-alternates").write_text(f"http://localhost:{other.port}/objects\n")
    with pytest.raises(RepositoryUnavailable):
        mirror_of(tmp_path, forge.url).fetch(KEY, MAIN, sha)
    assert other.seen == []


def test_no_other_setting_or_variable_leads_elsewhere(origin: Origin, forge: Forge, stack: ExitStack, tmp_path: Path) -> None:
    sha = origin.commit("one")
    publish(origin)
    other = start(stack, Forge(tmp_path))
    (home := tmp_path / "home").mkdir()
    (home / ".gitconfig").write_text(f'[url "http://localhost:{other.port}/"]\n\tinsteadOf = http://127.0.0.1\n')
    proxy = f"http://127.0.0.1:{other.port}"
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "http_proxy": proxy, "ALL_PROXY": proxy, "GIT_CONFIG_COUNT": "x"}
    mirror = Mirror(tmp_path / "mirrors", lambda _: forge.url, lambda _: TOKEN, environ=environ)
    assert mirror.fetch(KEY, MAIN, sha) == sha and other.seen == []


def test_the_token_is_given_for_the_forges_address_only_and_never_beside_http(tmp_path: Path) -> None:
    seen: dict[str, str] = {}

    class Spy(Git):
        def run(self, *arguments: object, **named: object) -> object:  # type: ignore[override] # it never returns
            seen.update(named["more"])  # type: ignore[call-overload] # a dict of texts
            raise RepositoryUnavailable

    for url, protocol, bound in (
        ("https://git.example.com:8443/a/b.git", "https", "http.https://git.example.com:8443/.extraHeader"),
        ("http://user:word@git.example.com/a/b.git", "http", "http.http://git.example.com/.extraHeader"),
        ("git@git.example.com:a/b.git", "ssh", None),
        ("ssh://git@git.example.com/a/b.git", "ssh", None),
        ("ext::sh -c evil", "ssh", None),
        ("git://git.example.com/a/b.git", "", None),
        ("/srv/git/a/b.git", "file", None),
    ):
        seen.clear()
        with pytest.raises(RepositoryUnavailable):
            Remote(Spy({}, GitLimits()), {KEY: url}.__getitem__, lambda _: TOKEN).refs(tmp_path, KEY)
        assert seen["GIT_ALLOW_PROTOCOL"] == protocol and seen.get("GIT_CONFIG_KEY_0") == bound
        assert (BASIC in "".join(seen.values())) is (bound is not None)


@pytest.mark.parametrize(
    ("token", "shape", "says"),
    [
        (None, {"asks": True}, r"acme/shop is private or does not exist: set \[forges\.gogs\] api_token"),
        ("wrong-token", {"asks": True}, r"the forge refused api_token of \[forges\.gogs\]"),
        (None, {"error": 404}, r"acme/shop is private or does not exist: set \[forges\.gogs\] api_token"),
        (TOKEN, {"error": 404}, r"does not show acme/shop.*api_token may not read it"),
        (TOKEN, {"error": 403}, r"forbids to read acme/shop.*api_token"),
        (TOKEN, {"error": 502}, r"answers with an error 502"),
    ],
)
def test_a_refusal_says_what_would_mend_it_and_never_the_token(
    origin: Origin, forge: Forge, tmp_path: Path, token: str | None, shape: dict[str, object], says: str
) -> None:
    origin.commit("one")
    publish(origin)
    for name, value in shape.items():
        setattr(forge, name, value)
    for ask in ("fetch", "head"):
        mirror = mirror_of(tmp_path, forge.url, token)
        with pytest.raises(RepositoryUnavailable, match=says) as refused:
            mirror.fetch(KEY, MAIN, "1" * 40) if ask == "fetch" else mirror.head(KEY, MAIN)
        assert token is None or (token not in str(refused.value) and BASIC not in str(refused.value))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://user:word@127.0.0.1:PORT/acme/shop.git", r"nothing answers at 127\.0\.0\.1:\d+: check that the forge runs"),
        ("http://no-such-host.invalid/acme/shop.git", r"the name no-such-host\.invalid is not known here"),
        ("https://127.0.0.1:FORGE/acme/shop.git", r"the TLS connection to the forge failed"),
        ("/nowhere/acme/shop.git", r"there is no repository at /nowhere/acme/shop\.git: check url"),
    ],
)
def test_a_forge_that_is_not_reached_is_told_plainly(forge: Forge, tmp_path: Path, url: str, says: str) -> None:
    url = url.replace("PORT", str(free_port())).replace("FORGE", str(forge.port))
    with pytest.raises(RepositoryUnavailable, match=says) as refused:
        mirror_of(tmp_path, url).fetch(KEY, MAIN, "1" * 40)
    assert "word" not in str(refused.value)


def test_a_ref_that_is_gone_is_unknown(origin: Origin, forge: Forge, tmp_path: Path) -> None:
    origin.commit("one")
    publish(origin)
    with pytest.raises(UnknownCommit, match="has no refs/heads/gone"):
        mirror_of(tmp_path, forge.url).fetch(KEY, "refs/heads/gone", None)


def test_a_forge_that_never_ends_its_answer_is_ended(forge: Forge, tmp_path: Path) -> None:
    forge.endless = True
    with pytest.raises((RepositoryUnavailable, ContentTooLarge)):
        mirror_of(tmp_path, forge.url, seconds=5, memory_bytes=256 * 1024 * 1024).head(KEY, MAIN)


def test_a_pack_above_the_limit_is_refused_for_good_and_leaves_nothing(origin: Origin, tmp_path: Path) -> None:
    for n in range(150):  # so many that git keeps the pack
        (origin.work / f"f{n}").write_bytes(os.urandom(4096))
    sha = origin.commit("large")
    mirror = mirror_of(tmp_path, f"file://{origin.bare}", fetch_bytes=64 * 1024)
    with pytest.raises(ContentTooLarge, match="TIDEGATE_FETCH_BYTES") as refused:
        mirror.fetch(KEY, MAIN, sha)
    assert refused.value.permanent
    assert not [p for p in (tmp_path / "mirrors/gogs/acme/shop.git/objects").rglob("*") if "tmp" in p.name and p.is_file()]


def test_a_single_object_that_needs_too_much_memory_is_refused_for_good(origin: Origin, tmp_path: Path) -> None:
    message = tmp_path / "message"
    message.write_bytes(b"x" * 90 * 1024 * 1024)
    origin.git("-c", "core.bigFileThreshold=1g", "commit", "-q", "--allow-empty", "-F", str(message))
    origin.git("push", "-q", "origin", "HEAD:refs/heads/main")
    with pytest.raises(ContentTooLarge, match="TIDEGATE_GIT_MEMORY_BYTES"):
        mirror_of(tmp_path, f"file://{origin.bare}", memory_bytes=96 * 1024 * 1024).fetch(KEY, MAIN, None)
