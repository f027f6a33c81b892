"""Changes between real commits, read from a real mirror: whatever the repository says of itself, nothing is hidden."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from app.domain.change import ChangedFile, Changes, FileKind
from app.domain.errors import RepositoryUnavailable, UnknownCommit
from app.integrations.repositories import changes as reading
from app.integrations.repositories.git import GitLimits
from app.integrations.repositories.mirror import Mirror

KEY = "gogs:acme/shop"
MAIN = "refs/heads/main"
TEXT, GONE = FileKind.TEXT, FileKind.GONE


class Origin:
    """A bare repository as a forge has it, and a work tree that pushes to it."""

    def __init__(self, folder: Path, hashed: str = "sha1") -> None:
        self.bare, self.work = folder / "shop.git", folder / "work"
        self.work.mkdir()
        subprocess.run(["git", "init", "-q", "--bare", f"--object-format={hashed}", str(self.bare)], check=True)
        self.git("init", "-q", "-b", "main", f"--object-format={hashed}")
        self.git("remote", "add", "origin", str(self.bare))

    def git(self, *arguments: str, given: bytes = b"") -> str:
        names = ("-c", "user.email=alice@example.com", "-c", "user.name=Alice")
        done = subprocess.run(["git", *names, *arguments], cwd=self.work, check=True, capture_output=True, input=given)
        return done.stdout.decode().strip()

    def write(self, **files: bytes | None) -> None:
        for name, content in files.items():
            path = self.work / name
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content)

    def push(self, message: str = "change", *, branch: str = "main") -> str:
        self.git("add", "-A", "-f")
        self.git("commit", "-q", "--allow-empty", "--cleanup=verbatim", "-F", "-", given=message.encode())
        self.git("push", "-q", "-f", "origin", f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD")


@pytest.fixture(params=["sha1", "sha256"])
def origin(tmp_path: Path, request: pytest.FixtureRequest) -> Origin:
    return Origin(tmp_path, request.param)


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror(
        tmp_path / "mirrors", lambda _: f"file://{tmp_path}/shop.git", lambda _: None, environ={"PATH": os.environ["PATH"]}
    )


def changes(mirror: Mirror, sha: str, *bases: str | None, branch: str = "main") -> Changes:
    mirror.fetch(KEY, f"refs/heads/{branch}", sha)
    return mirror.changes(KEY, bases, sha)


def by_path(found: Changes) -> dict[str, ChangedFile]:
    return {file.path: file for file in found.files}


def test_new_lines_are_told_with_their_numbers(origin: Origin, mirror: Mirror) -> None:
    origin.write(a=b"one\ntwo\nthree\n", b=b"x\n", c=b"same\n")
    before = origin.push()
    origin.write(a=b"one\nnew\ntwo\nlast", b=None, d=b"fresh\r\n")
    sha = origin.push("second\n\nbody")
    found = changes(mirror, sha, before)
    assert found.files == (
        ChangedFile("a", TEXT, ((2, "new"), (4, "last"))),
        ChangedFile("b", GONE),
        ChangedFile("d", TEXT, ((1, "fresh\r"),)),
    )
    assert [(m.sha, m.text, m.author_name, m.author_email, m.committer_email) for m in found.messages] == [
        (sha, "second\n\nbody", "Alice", "alice@example.com", "alice@example.com")
    ]
    assert (found.is_whole, found.paths_known, found.why_not) == (True, True, "")


@pytest.mark.parametrize("base", [None, "0" * 40, "f" * 40])
def test_without_a_known_base_everything_is_new(origin: Origin, mirror: Mirror, base: str | None) -> None:
    origin.write(a=b"one\n")
    origin.push("first")
    sha = origin.push("second")
    found = changes(mirror, sha, base)
    assert found.files == (ChangedFile("a", TEXT, ((1, "one"),)),)
    assert [m.text for m in found.messages] == ["second", "first"]


def test_several_bases_are_united(origin: Origin, mirror: Mirror) -> None:
    origin.write(a=b"one\n", b=b"b\n")
    first = origin.push("first")
    origin.write(a=b"one\ntwo\n", c=b"c\n")
    second = origin.push("second")
    origin.write(a=b"one\ntwo\nthree\n", b=b"b\nb2\n")
    third = origin.push("third")
    found = changes(mirror, third, second, first, second)
    assert found.files == (
        ChangedFile("a", TEXT, ((2, "two"), (3, "three"))),
        ChangedFile("b", TEXT, ((2, "b2"),)),
        ChangedFile("c", TEXT, ((1, "c"),)),
    )
    assert [m.text for m in found.messages] == ["third", "second"]
    assert len(by_path(changes(mirror, third, second, None))["a"].added) == 3


def test_what_is_not_new_changes_nothing_but_is_told_as_authors_are(origin: Origin, mirror: Mirror) -> None:
    origin.write(a=b"one\n")
    sha = origin.push("only")
    found = changes(mirror, sha, sha)
    assert found.files == () and [m.sha for m in found.messages] == [a.sha for a in mirror.authors(KEY, [sha], sha)] == [sha]


def test_no_base_at_all_changes_nothing(origin: Origin, mirror: Mirror) -> None:
    origin.write(a=b"one\n")
    sha = origin.push()
    assert changes(mirror, sha) == Changes()


def test_a_rename_is_two_paths(origin: Origin, mirror: Mirror) -> None:
    origin.write(old=b"".join(b"%d\n" % n for n in range(50)))
    before = origin.push()
    origin.git("mv", "old", "new")
    found = by_path(changes(mirror, origin.push(), before))
    assert found["old"].kind is GONE and found["new"].kind is TEXT and len(found["new"].added) == 50


def test_links_and_submodules_are_told_by_their_paths(origin: Origin, mirror: Mirror) -> None:
    origin.write(real=b"text\n", turned=b"text\n")
    before = origin.push()
    (origin.work / "link").symlink_to("/etc/passwd")
    origin.write(turned=None)
    (origin.work / "turned").symlink_to("real")
    (origin.work / "sub").mkdir()
    origin.git("update-index", "--add", "--cacheinfo", f"160000,{before},sub")
    (origin.work / ".gitmodules").write_text('[submodule "sub"]\n\tpath = sub\n\turl = ../sub\n\tignore = all\n')
    found = by_path(changes(mirror, origin.push(), before))
    assert {path: file.kind for path, file in found.items()} == {
        ".gitmodules": TEXT,
        "link": FileKind.LINK,
        "turned": FileKind.LINK,
        "sub": FileKind.SUBMODULE,
    }
    assert not any(file.added for path, file in found.items() if path != ".gitmodules")
    assert {path: file.link for path, file in found.items() if file.link} == {"link": "/etc/passwd", "turned": "real"}


def test_a_link_that_becomes_a_file_is_new_in_every_line(origin: Origin, mirror: Mirror) -> None:
    (origin.work / "a").symlink_to("one")
    before = origin.push()
    origin.write(a=None)
    origin.write(a=b"one\n")
    assert changes(mirror, origin.push(), before).files == (ChangedFile("a", TEXT, ((1, "one"),)),)


def test_a_change_of_mode_alone_adds_no_line(origin: Origin, mirror: Mirror) -> None:
    origin.write(run=b"#!/bin/sh\n")
    before = origin.push()
    (origin.work / "run").chmod(0o755)
    assert changes(mirror, origin.push(), before).files == (ChangedFile("run", TEXT),)


@pytest.mark.parametrize("attributes", ["* -diff\n", "* binary\n", "* -text -diff diff=none filter=hide export-ignore\n"])
def test_attributes_of_the_repository_hide_nothing(origin: Origin, mirror: Mirror, attributes: str, tmp_path: Path) -> None:
    origin.write(a=b"one\n", **{".gitattributes": attributes.encode()})
    before = origin.push()
    origin.write(a=b"one\nsecret\n")
    sha = origin.push()
    mirror.fetch(KEY, MAIN, sha)
    (info := tmp_path / "mirrors/gogs/acme/shop.git/info").mkdir(exist_ok=True)
    (info / "attributes").write_text(attributes)
    assert by_path(mirror.changes(KEY, [before], sha))["a"].added == ((2, "secret"),)


@pytest.mark.parametrize(
    ("content", "kind", "added"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\xff\xfe", FileKind.BINARY, ()),
        (b"#!/bin/sh\nevil\0\xff\n", FileKind.BINARY, ()),
        (b"#!/bin/sh\nevil\0\n", TEXT, ((1, "#!/bin/sh"), (2, "evil\0"))),  # one NUL does not hide a script
        ("Größe\n".encode("latin-1"), TEXT, ((1, "Gr\ufffd\ufffde"),)),
        ("a\nb".encode("utf-16"), TEXT, ((1, "a"), (2, "b"))),
        (b"", TEXT, ()),
        (b"\n\n", TEXT, ((1, ""), (2, ""))),
        (b"a\rb\x0c\xe2\x80\xa8c\n", TEXT, ((1, "a\rb\x0c\u2028c"),)),  # a line ends where git says
    ],
)
def test_the_bytes_alone_say_what_is_text(
    origin: Origin, mirror: Mirror, content: bytes, kind: FileKind, added: tuple[tuple[int, str], ...]
) -> None:
    origin.write(a=content)
    assert changes(mirror, origin.push(), None).files == (ChangedFile("a", kind, added),)


def test_paths_are_taken_as_they_are(origin: Origin, mirror: Mirror) -> None:
    names = [b"a b\tc", b'"quoted"', b"new\nline", b"\xe6\x97\xa5.txt", b"\xff\xfe", b"-x", b":(exclude)*", b"a\\b", b"b/ b/x"]
    for name in names:
        path = os.path.join(os.fsencode(origin.work), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"x\n")
    found = by_path(changes(mirror, origin.push(), None))
    assert set(found) == {name.decode(errors="replace") for name in names}
    assert all(file.added == ((1, "x"),) for file in found.values())


def test_contents_and_messages_that_look_like_a_diff_are_contents_and_messages(origin: Origin, mirror: Mirror) -> None:
    hostile = b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n0123 blob 5\n:100644 100644 a b M\n"
    origin.write(a=hostile)
    found = changes(mirror, origin.push(hostile.decode()), None)
    assert found.files == (ChangedFile("a", TEXT, tuple(enumerate(hostile.decode().split("\n")[:-1], 1))),)
    assert found.messages[0].text == hostile.decode()


def test_a_file_that_is_too_large_is_not_read(origin: Origin, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LARGEST_FILE", 100)
    origin.write(was=b"x\n" * 100, is_now=b"x\n")
    before = origin.push()
    origin.write(was=b"x\n", is_now=b"x\n" * 100)
    found = by_path(changes(mirror, origin.push(), before))
    assert found["is_now"] == ChangedFile("is_now", FileKind.LARGE)
    assert found["was"].added == ((1, "x"),)  # what it was is not compared with


@pytest.mark.parametrize(
    ("bound", "most", "why", "paths_known"),
    [
        ("MOST_FILES", 2, "more than 2 files are changed", False),
        ("MOST_READ", 10, "more is changed than is read", True),
        ("MOST_TEXT", 10, "more is changed than is read", True),
        ("MOST_COMMITS", 0, "there are more new commits", True),
        ("LONGEST_MESSAGE", 3, "was not read to its end", True),
        ("MOST_BASES", 0, "only 0 of 1 bases", False),
    ],
)
def test_every_bound_is_told(
    origin: Origin, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, bound: str, most: int, why: str, paths_known: bool
) -> None:
    monkeypatch.setattr(reading, bound, most)
    origin.write(a=b"123456\n", b=b"123456\n", c=b"123456\n")
    found = changes(mirror, origin.push("message"), None)
    assert not found.is_whole and why in found.why_not and found.paths_known is paths_known
    assert len(found.files) == {"MOST_FILES": 2, "MOST_BASES": 0}.get(bound, 3)


def test_what_was_read_before_a_bound_is_told(origin: Origin, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_READ", 10)
    origin.write(a=b"123456\n", b=b"123456\n", c=b"1\n")
    kinds = {path: file.kind for path, file in by_path(changes(mirror, origin.push(), None)).items()}
    assert kinds == {"a": TEXT, "b": FileKind.UNREAD, "c": TEXT}


def test_many_files_are_read_a_few_at_a_time(origin: Origin, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_BATCH_BYTES", 50)
    origin.write(**{f"f{n:02}": b"line %d\n" % n for n in range(40)})
    assert [f.added for f in changes(mirror, origin.push(), None).files] == [((1, f"line {n}"),) for n in range(40)]


def test_a_commit_that_is_not_here_is_unknown(origin: Origin, mirror: Mirror) -> None:
    origin.write(a=b"one\n")
    origin.push()
    for sha in ("f" * 40, "main", "--help"):
        with pytest.raises(UnknownCommit):
            mirror.changes(KEY, [None], sha)


def test_a_missing_file_is_said_to_be_missing(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    origin.write(a=b"one\n")
    sha = origin.push()
    mirror.fetch(KEY, MAIN, sha)
    blob = origin.git("rev-parse", "HEAD:a")
    lost = tmp_path / "mirrors/gogs/acme/shop.git/objects" / blob[:2] / blob[2:]
    if not lost.exists():
        pytest.skip("git keeps what it fetched in a pack here")
    lost.unlink()
    with pytest.raises(RepositoryUnavailable):
        mirror.changes(KEY, [None], sha)


def test_git_that_takes_too_long_is_ended(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    origin.write(a=b"one\n")
    sha = origin.push()
    mirror.fetch(KEY, MAIN, sha)
    (slow := tmp_path / "slow").mkdir()
    (slow / "git").write_text("#!/bin/sh\nexec sleep 60\n")
    (slow / "git").chmod(0o755)
    path = {"PATH": f"{slow}:{os.environ['PATH']}"}
    hurried = Mirror(tmp_path / "mirrors", lambda _: "", lambda _: None, environ=path, limits=GitLimits(seconds=0.2))
    with pytest.raises(RepositoryUnavailable, match=r"longer than 0\.2 s"):
        hurried.changes(KEY, [None], sha)
