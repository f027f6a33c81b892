"""What git log really writes is read back; nothing in a message or file passes for structure; garbage is refused."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.change import ChangedFile, Changes, FileKind
from app.domain.errors import BadRequest
from app.integrations.inspection import patch
from app.integrations.inspection.inspector import ContentInspector
from app.integrations.inspection.patch import GIT_ARGUMENTS, parse

TEXT, GONE = FileKind.TEXT, FileKind.GONE
FAKE = b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\n@@ -0,0 +1 @@\n+y\n"
HEAD = b"\0" + b"a" * 40 + b"\0Alice\0alice@example.com\0bob@example.com\0Fix\n\0\n"


class Repository:
    """A repository whose owner has set everything that could change what git log writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "-q", "-b", "main")
        for setting in (
            "diff.noprefix=true",
            "diff.mnemonicPrefix=true",
            "color.ui=always",
            "diff.suppressBlankEmpty=true",
            "diff.interHunkContext=5",
            "diff.renames=copies",
            "diff.external=/bin/false",
            "diff.submodule=log",
            "diff.ignoreSubmodules=all",
            "diff.relative=true",
            "log.showSignature=true",
            "log.diffMerges=combined",
            "diff.colorMoved=zebra",
            "diff.context=9",
            "diff.hide.textconv=true",
            "diff.hide.command=/bin/false",
            "core.bigFileThreshold=10",
            "i18n.logOutputEncoding=latin-1",
        ):
            self.git("config", *setting.split("=", 1))

    def git(self, *arguments: str, given: bytes = b"") -> bytes:
        names = ("-c", "user.email=alice@example.com", "-c", "user.name=Alice")
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        done = subprocess.run(
            ["git", *names, *arguments], cwd=self.folder, check=True, capture_output=True, input=given, env=environment
        )
        return done.stdout

    def commit(self, message: bytes = b"change", **files: bytes) -> None:
        for name, content in files.items():
            (self.folder / name).write_bytes(content)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "--cleanup=verbatim", "-F", "-", given=message)

    def log(self, *what: str) -> bytes:
        """Show commits, newest first, each beside its first parent."""
        commits = self.git("rev-list", "--topo-order", "--first-parent", "--parents", *what, "HEAD")
        return self.show(*(b" ".join(line.split()[:2]).decode() for line in commits.splitlines()))

    def show(self, *steps: str) -> bytes:
        return self.git(*GIT_ARGUMENTS, given="".join(f"{step}\n" for step in steps).encode())


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def kinds(found: Changes) -> dict[str, FileKind]:
    return {file.path: file.kind for file in found.files}


def test_what_git_writes_is_read_back_whatever_its_owner_set(repository: Repository) -> None:
    repository.commit(b"first", a=b"one\ntwo\n", gone=b"x\n", empty=b"", bare=b"no end")
    (repository.folder / "gone").unlink()
    repository.commit("zwei ü\n\nbody\n".encode(), a=b"one\nnew\n\ntwo\n")
    found = parse(repository.log())
    assert [(m.text, m.author_name, m.author_email, m.committer_email) for m in found.messages] == [
        ("zwei ü\n\nbody\n", "Alice", "alice@example.com", "alice@example.com"),
        ("first", "Alice", "alice@example.com", "alice@example.com"),
    ]
    assert set(found.files) == {
        ChangedFile("a", TEXT, ((2, "new"), (3, ""), (1, "one"), (2, "two"))),
        ChangedFile("gone", GONE, ((1, "x"),)),
        ChangedFile("empty", TEXT),
        ChangedFile("bare", TEXT, ((1, "no end"),)),
    }
    assert (found.is_whole, found.paths_known, found.why_not) == (True, True, "")


@pytest.mark.parametrize("attributes", [b"* -diff\n", b"* binary\n", b"* diff=hide\n"])
def test_attributes_and_nuls_hide_nothing(repository: Repository, attributes: bytes) -> None:
    repository.commit(**{".gitattributes": attributes, "a": b"secret \0\n", "b": b"longer than ten bytes\n"})
    found = {file.path: file for file in parse(repository.log()).files}
    assert found["a"].added == ((1, "secret \0"),) and found["b"].added == ((1, "longer than ten bytes"),)


def test_contents_and_messages_that_look_like_a_diff_are_what_they_are(repository: Repository) -> None:
    hostile = FAKE + HEAD.replace(b"\0", b"") + b"-- \n++ b/y\n"
    repository.commit(hostile, a=hostile)
    repository.commit(b"\n" + FAKE, a=b"-- a/x\n++ b/x\n")
    found = parse(repository.log())
    assert kinds(found) == {"a": TEXT} and len(found.messages) == 2
    assert [text for _, text in found.files[0].added] == ["-- a/x", "++ b/x", *hostile.decode().split("\n")[:-1]]


def test_paths_are_read_in_either_spelling(repository: Repository) -> None:
    names = [b"a b\tc", b'"quoted"', b"new\nline", "日本.txt".encode(), b"\xff\xfe", b"a\\b", b"x b", b" b b", b"\x1b"]
    for quoting in ("true", "false"):
        repository.git("config", "core.quotePath", quoting)
        for name in names:
            path = os.path.join(os.fsencode(repository.folder), name)
            with open(path, "wb") as file:
                file.write(quoting.encode())
        repository.commit()
    for quoting in ("true", "false"):
        repository.git("config", "core.quotePath", quoting)
        assert set(kinds(parse(repository.log()))) == {name.decode(errors="replace") for name in names}


def test_a_path_that_repeats_itself_is_read_right(repository: Repository) -> None:
    (repository.folder / "x b").mkdir()
    (repository.folder / "x b/x").write_bytes(b"1\n")
    repository.commit()
    assert set(kinds(parse(repository.log()))) == {"x b/x"}


def test_links_submodules_and_what_turns_into_them_are_told_by_their_paths(repository: Repository) -> None:
    repository.commit(turned=b"text\n", back=b"x\n")
    (repository.folder / "turned").unlink()
    (repository.folder / "turned").symlink_to("x")
    (repository.folder / "link").symlink_to("x")
    (repository.folder / "sub").mkdir()
    repository.git("update-index", "--add", "--cacheinfo", "160000," + "1" * 40 + ",sub")
    repository.commit()
    found = parse(repository.log("-1"))
    assert kinds(found) == {"turned": FileKind.LINK, "link": FileKind.LINK, "sub": FileKind.SUBMODULE}
    assert {file.path: file.link for file in found.files} == {"turned": "x", "link": "x", "sub": ""}
    assert not any(file.added for file in found.files)


@pytest.mark.parametrize("later", ["link", "submodule", "gone", "folder"])
def test_what_a_later_commit_hides_behind_a_link_is_looked_at_all_the_same(repository: Repository, later: str) -> None:
    """The secret stays in the repository, whatever stands at its path in the end."""
    repository.commit(config=b"url = https://x:s3cr3tpassword@example.com/\n")
    path = repository.folder / "config"
    path.unlink()
    match later:
        case "link":
            path.symlink_to("/etc/passwd")
        case "folder":
            path.mkdir()
            (path / "file").write_bytes(b"harmless\n")
        case "submodule":
            repository.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},config")
    repository.commit(other=b"x\n")
    found = ContentInspector().inspect(parse(repository.log()), agents=frozenset())
    kinds_found = {finding.kind.value for finding in found.findings}
    assert "secret" in kinds_found and ("outside-link" in kinds_found) == (later == "link")
    assert found.inspected and "config" in " ".join(found.paths)


@pytest.mark.parametrize("end", [b"120000", b"160000"])
@pytest.mark.parametrize("is_chmod", [False, True])
def test_an_id_that_ends_like_a_mode_hides_no_line(repository: Repository, end: bytes, *, is_chmod: bool) -> None:
    """Git shows seven digits of an id, and who pushes can try contents until they are these."""
    if is_chmod:
        repository.commit(a=b"old\n")
        (repository.folder / "a").chmod(0o755)
    repository.commit(a=b"AWS_KEY=1\n")
    text = re.sub(rb"(?m)^(index [0-9a-f]+\.\.[0-9a-f])[0-9a-f]+$", rb"\g<1>" + end, repository.log("-1"))
    assert end in text
    (file,) = parse(text).files
    assert (file.kind, file.added) == (FileKind.TEXT, ((1, "AWS_KEY=1"),))


def test_binary_files_are_told_as_such(repository: Repository) -> None:
    repository.commit(**{"a.png": b"\x89PNG\r\n\0\xff\n\0", "b.txt": "a\nb\n".encode("utf-16")})
    found = parse(repository.log())
    assert kinds(found)["a.png"] is FileKind.BINARY
    assert not ContentInspector().inspect(found, agents=frozenset()).inspected


def test_a_merge_shows_what_it_brings(repository: Repository) -> None:
    repository.commit(b"one", a=b"1\n")
    repository.git("switch", "-q", "-c", "side")
    repository.commit(b"side", b=b"2\n")
    repository.git("switch", "-q", "main")
    repository.commit(b"main", c=b"3\n")
    repository.git("merge", "-q", "--no-commit", "side")
    repository.commit(b"merge", evil=b"4\n")
    found = parse(repository.log("-1"))
    assert set(kinds(found)) == {"b", "evil"}


def test_a_merge_that_brings_old_content_back_shows_it_beside_the_parent_that_had_it_not(repository: Repository) -> None:
    """A merge whose first parent is the old commit, and whose tree is that commit's, differs from the second alone."""
    repository.commit(b"old", a=b"leaked\n")
    old = repository.git("rev-parse", "HEAD").decode().strip()
    repository.commit(b"mended", a=b"clean\n")
    main = repository.git("rev-parse", "HEAD").decode().strip()
    merge = repository.git("commit-tree", f"{old}^{{tree}}", "-p", old, "-p", main, "-m", "merge").decode().strip()
    assert kinds(parse(repository.show(f"{merge} {old}"))) == {}
    found = parse(repository.show(f"{merge} {old} {main}"))
    assert found.files == (ChangedFile("a", TEXT, ((1, "leaked"),)),)
    assert [message.sha for message in found.messages] == [merge] and found.is_whole
    again = parse(repository.show(f"{merge} {main}", f"{main} {old}", f"{merge} {old}"))
    assert [message.sha for message in again.messages] == [merge, main]


def test_what_an_earlier_release_had_git_log_write_is_read_as_before(repository: Repository) -> None:
    repository.commit(b"first", a=b"one\n")
    text = parse(repository.log())
    sha = text.messages[0].sha.encode()
    body = b"diff --git a/a b/a\nnew file mode 100644\n--- /dev/null\n+++ b/a\n@@ -0,0 +1 @@\n+one\n"
    earlier = parse(b"\0" + sha + b"\0Alice\0alice@example.com\0alice@example.com\0first\0\n\n" + body)
    assert earlier.files == text.files and earlier.messages[0].committer_name == "" and text.messages[0].committer_name == "Alice"


def test_a_rename_is_two_paths(repository: Repository) -> None:
    repository.commit(old=b"x\n" * 50)
    repository.git("mv", "old", "new")
    repository.commit()
    assert kinds(parse(repository.log("-1"))) == {"old": GONE, "new": TEXT}


def test_nothing_pushed_is_nothing_changed() -> None:
    assert parse(b"") == Changes()


@pytest.mark.parametrize(
    "text",
    [
        b"garbage",
        b"diff --git a/x b/x\n",
        b"\0abc\0\0\0\0\0\n",
        HEAD + b"garbage\n",
        HEAD + b"diff --git a/x b/y\n",
        HEAD + b"diff --git a/x\n",
        HEAD + b"diff --git a/ b/\n",
        HEAD + b'diff --git "a/x" "b/y"\n',
        HEAD + b"diff --git a/x b/x\n@@ -1 +1\n",
        HEAD + b"diff --git a/x b/x\n@@ nothing\n",
        HEAD + b"diff --git a/x b/x\n@@ -1 +1 @@\n*\n",
        HEAD + b"diff --git a/x b/x\n@@ -1 +1,0 @@\n+x\n-y\n",
        HEAD + b"diff --git a/x b/x\n@@ -0,0 +1 @@\n+a\n+b\n",
        HEAD + b"diff --git a/x b/x\n@@ -0,0 +99999999999 @@\n+a\n",
    ],
)
def test_what_git_does_not_write_is_refused(text: bytes) -> None:
    with pytest.raises(BadRequest, match="not what git writes"):
        parse(text)


@pytest.mark.parametrize("end", range(1, 160, 3))
def test_what_is_cut_off_is_never_whole(end: int) -> None:
    text = HEAD + b"diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n@@ -0,0 +1,2 @@\n+a\n+b\n"
    assert parse(text).is_whole
    try:
        found = parse(text[: -(end % len(text))])
    except BadRequest:
        return
    cut_between = text[: -(end % len(text))].endswith((b"\0\n", b"\0", b"b/x\n", b"100644\n"))
    assert not found.is_whole or cut_between


@pytest.mark.parametrize(
    ("bound", "most", "paths_known"),
    [
        ("MOST_FILES", 1, False),
        ("MOST_COMMITS", 1, False),
        ("MOST_TEXT", 10, False),
        ("LARGEST_PATCH", 300, False),
        ("LONGEST_MESSAGE", 3, True),
    ],
)
def test_every_bound_is_told(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, bound: str, most: int, paths_known: bool
) -> None:
    repository.commit(b"first", a=b"one\n", b=b"two\n")
    repository.commit(b"second", a=b"three\n", c=b"four\n")
    monkeypatch.setattr(patch, bound, most)
    found = parse(repository.log())
    assert not found.is_whole and found.why_not and found.paths_known is paths_known and found.messages


def test_a_file_that_is_too_large_is_told_with_what_was_read(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patch, "LARGEST_FILE", 8)
    repository.commit(a=b"one\ntwo\nthree\n", b=b"one\n")
    found = {file.path: file for file in parse(repository.log()).files}
    assert found["a"] == ChangedFile("a", FileKind.LARGE, ((1, "one"), (2, "two"))) and found["b"].kind is TEXT


def read(text: bytes) -> None:
    try:
        found = parse(text)
    except BadRequest as fault:
        assert str(fault).isprintable()
    else:
        assert found.is_whole is not bool(found.why_not)
        ContentInspector().inspect(found, agents=frozenset())


@given(st.binary(max_size=500))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    read(text)
    read(HEAD + text)
    read(HEAD + b"diff --git a/x b/x\n" + text)
    read(HEAD + b"diff --git a/x b/x\n@@ -0,0 +1,3 @@\n+" + text)


PIECES = [
    HEAD,
    FAKE,
    b"\0",
    b"\n",
    b"diff --git a/x b/x\n",
    b"@@ -1 +1 @@\n",
    b"@@ -0,0 +1,2 @@ f\n",
    b"-a\n",
    b"+b\n",
    b" c\n",
    b"index 1..2 120000\n",
]
PIECES += [
    b'diff --git "a/\\303\\244" "b/\\303\\244"\n',
    b"new file mode 160000\n",
    b"deleted file mode 100644\n",
    b"Binary files a/x and b/x differ\n",
    b"\\ No newline\n",
]


@settings(max_examples=500)
@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_any_order_of_what_git_writes_is_read_or_refused(pieces: list[bytes]) -> None:
    read(b"".join(pieces))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=60), st.binary(max_size=80)), min_size=1, max_size=3))
def test_every_line_of_every_commit_is_found_again(
    tmp_path_factory: pytest.TempPathFactory, commits: list[tuple[bytes, bytes]]
) -> None:
    repository = Repository(tmp_path_factory.mktemp("repository"))
    for message, content in commits:
        repository.commit(b"m" + message.replace(b"\0", b""), a=content)
    found = parse(repository.log())
    assert len(found.messages) == len(commits) and found.is_whole and set(kinds(found)) <= {"a"}
    (file,) = found.files or (ChangedFile("a", TEXT),)
    if file.kind is TEXT:
        added = [text for _, text in file.added]
        lines = commits[0][1].decode(errors="replace").split("\n")
        assert set(lines[: len(lines) - (lines[-1] == "")]) <= set(added)
