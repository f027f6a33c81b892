"""What is exported is what was inspected: the bytes of the blobs, within limits, and no path that leads elsewhere."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from app.domain.change import FileKind
from app.domain.errors import ContentTooLarge, RepositoryUnavailable, UnsafeContent
from app.integrations.repositories.git import GitLimits
from app.integrations.repositories.mirror import Mirror
from tests.integrations.repositories.test_changes import KEY, MAIN, Origin

SCRIPT = b"#!/bin/sh\necho $Id$ \xe2\x80\x9cquoted\xe2\x80\x9d\n"
HIDDEN = "#!/bin/sh\necho owned\n"
ATTRIBUTES = [
    "* text",
    "* text=auto eol=crlf",
    "* eol=crlf",
    "* crlf",
    "* crlf=input",
    "* ident",
    "* working-tree-encoding=UTF-16",
    "* working-tree-encoding=UTF-16BE",
    "* working-tree-encoding=UTF-16LE-BOM",
    "* text working-tree-encoding=CP1252",
    "* filter=lfs diff=lfs merge=lfs -text",
    "* filter=evil",
    "* export-subst",
    "* export-ignore",
    "* binary",
    "* -text -diff -merge",
    "* whitespace=trail conflict-marker-size=8 delta=false encoding=UTF-16",
    "[attr]evil ident text eol=crlf working-tree-encoding=UTF-16BE\n* evil",
]


@pytest.fixture(params=["sha1", "sha256"])
def origin(tmp_path: Path, request: pytest.FixtureRequest) -> Origin:
    return Origin(tmp_path, request.param)


@pytest.fixture
def plain(tmp_path: Path) -> Origin:
    return Origin(tmp_path)


def mirror_of(tmp_path: Path, limits: GitLimits | None = None) -> Mirror:
    url = f"file://{tmp_path}/shop.git"
    environ = {"PATH": os.environ["PATH"]}
    return Mirror(tmp_path / "mirrors", lambda _: url, lambda _: None, environ=environ, limits=limits or GitLimits())


def export(tmp_path: Path, sha: str, limits: GitLimits | None = None) -> Path:
    mirror = mirror_of(tmp_path, limits)
    mirror.fetch(KEY, MAIN, sha)
    (out := tmp_path / "out").mkdir()
    mirror.export(KEY, sha, out)
    return out


def blobs(origin: Origin, sha: str) -> dict[str, str]:
    rows = origin.git("ls-tree", "-r", sha).splitlines()
    return {row.split("\t")[1]: row.split()[2] for row in rows}


def hashed(origin: Origin, out: Path) -> dict[str, str]:
    """Hash each exported file as it lies there, with no filter."""
    files = [path for path in out.rglob("*") if path.is_file()]
    return {str(p.relative_to(out)): origin.git("hash-object", "--no-filters", str(p)) for p in files}


@pytest.mark.parametrize("attributes", ATTRIBUTES)
def test_exported_bytes_are_the_blobs_whatever_the_attributes_say(plain: Origin, tmp_path: Path, attributes: str) -> None:
    """An attribute once turned CJK text, which inspection and reviewers saw, into a script."""
    cjk = HIDDEN.encode().decode("utf-16-be", "replace").encode()
    names = {
        "run.sh": SCRIPT,
        "notes.txt": cjk,
        "crlf.txt": b"a\r\nb\n",
        "bin": bytes(range(256)),
        "$Format:%H$": b"$Format:%H$\n",
    }
    plain.git("config", "core.attributesFile", "/dev/null")
    (plain.bare.parent / "work/.git/info").mkdir(exist_ok=True)
    (plain.work / ".git/info/attributes").write_text("* -text -ident !eol !crlf !filter !working-tree-encoding\n")
    (plain.work / "sub").mkdir()
    plain.write(**names, **{".gitattributes": attributes.encode() + b"\n", "sub/.gitattributes": attributes.encode() + b"\n"})
    plain.write(**{"sub/deep.sh": SCRIPT})
    sha = plain.push()
    out = export(tmp_path, sha)
    assert hashed(plain, out) == blobs(plain, sha)
    assert {name: (out / name).read_bytes() for name in names} == names
    assert b"owned" not in b"".join(p.read_bytes() for p in out.rglob("*") if p.is_file())


def test_what_inspection_reads_is_what_is_exported(plain: Origin, tmp_path: Path) -> None:
    plain.write(**{"run.sh": SCRIPT, ".gitattributes": b"* working-tree-encoding=UTF-16BE eol=crlf\n"})
    plain.git("add", "-f", ".gitattributes")
    blob = plain.git("hash-object", "-w", "--no-filters", "--stdin", given=SCRIPT)
    plain.git("update-index", "--add", "--cacheinfo", f"100644,{blob},run.sh")
    plain.git("commit", "-q", "-m", "x")
    plain.git("push", "-q", "origin", "HEAD:main")
    sha = plain.git("rev-parse", "HEAD")
    out = export(tmp_path, sha)
    read = {f.path: "".join(f"{line}\n" for _, line in f.added) for f in mirror_of(tmp_path).changes(KEY, [None], sha).files}
    assert read["run.sh"].encode() == (out / "run.sh").read_bytes() == SCRIPT


def test_attributes_of_the_mirror_and_its_settings_change_nothing(plain: Origin, tmp_path: Path) -> None:
    plain.write(**{"run.sh": SCRIPT})
    sha = plain.push()
    mirror = mirror_of(tmp_path)
    mirror.fetch(KEY, MAIN, sha)
    bare = tmp_path / "mirrors/gogs/acme/shop.git"
    (bare / "info").mkdir(exist_ok=True)
    (bare / "info/attributes").write_text("* ident eol=crlf text working-tree-encoding=UTF-16\n")
    for name, value in (("core.autocrlf", "true"), ("core.eol", "crlf"), ("core.symlinks", "false"), ("core.fileMode", "false")):
        subprocess.run(["git", "--git-dir", str(bare), "config", name, value], check=True)
    assert hashed(plain, export(tmp_path, sha)) == blobs(plain, sha)


def test_modes_links_odd_names_and_submodules_come_as_they_are(origin: Origin, tmp_path: Path) -> None:
    names = [b"a b\tc", b'"quoted"', b"new\nline", b"\xff\xfe", b"-x", b"a\\b", b"deep/er/file", b"empty", b".gitignore"]
    for name in names:
        path = os.path.join(os.fsencode(origin.work), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(os.fsdecode(path)).write_bytes(b"" if name == b"empty" else name)
    (origin.work / "run").write_bytes(SCRIPT)
    (origin.work / "run").chmod(0o755)
    (origin.work / "link").symlink_to("deep/er")
    (origin.work / "dangling").symlink_to("../nowhere")
    origin.push()
    origin.git("update-index", "--add", "--cacheinfo", f"160000,{origin.git('rev-parse', 'HEAD')},sub")
    origin.git("commit", "-q", "-m", "sub")
    origin.git("push", "-q", "origin", "HEAD:main")
    out = export(tmp_path, origin.git("rev-parse", "HEAD"))
    assert all((Path(os.fsdecode(os.path.join(os.fsencode(out), n)))).is_file() for n in names)
    assert (out / "run").stat().st_mode & 0o111 and not (out / "empty").stat().st_mode & 0o111
    assert os.readlink(out / "link") == "deep/er" and os.readlink(out / "dangling") == "../nowhere"
    assert (out / "sub").is_dir() and not list((out / "sub").iterdir())


def raw_tree(origin: Origin, *entries: tuple[str, bytes, str]) -> str:
    """Write a tree as git would not."""
    raw = b"".join(mode.encode() + b" " + name + b"\0" + bytes.fromhex(oid) for mode, name, oid in entries)
    return origin.git("hash-object", "-t", "tree", "-w", "--stdin", "--literally", given=raw)


def push_tree(origin: Origin, tree: str) -> str:
    sha = origin.git("commit-tree", "-m", "odd", tree)
    origin.git("push", "-q", "-f", "origin", f"{sha}:refs/heads/main")
    return sha


def blob(origin: Origin, content: bytes = b"x\n") -> str:
    return origin.git("hash-object", "-w", "--stdin", given=content)


HOSTILE = [b".git", b".GIT", b".git ", b".git.", b"git~1", b"GIT~1", b".g\xe2\x80\x8cit", b".git::$INDEX_ALLOCATION", b"a\\.git"]


@pytest.mark.parametrize("name", [*HOSTILE, b"..", b"."])
@pytest.mark.parametrize("as_folder", [False, True])
def test_a_path_that_could_stand_for_gits_own_folder_is_refused(
    origin: Origin, tmp_path: Path, name: bytes, as_folder: bool
) -> None:
    inner = raw_tree(origin, ("100644", b"config", blob(origin)))
    sha = push_tree(origin, raw_tree(origin, ("40000", name, inner) if as_folder else ("100644", name, blob(origin))))
    with pytest.raises(UnsafeContent, match="is not released"):
        export(tmp_path, sha)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_malformed_folder_is_refused_and_told_as_not_looked_at(origin: Origin, tmp_path: Path) -> None:
    """Two entries of one name: a check could see one, and a release hold the other."""
    one, other = blob(origin, b"good\n"), blob(origin, b"bad\n")
    shapes = {
        "two entries": (("100644", b"a", one), ("100644", b"a", other)),
        "would not write": (("100644", b"a/b", one),),
        "unknown kind": (("150000", b"a", one),),
    }
    for why, entries in shapes.items():
        sha = push_tree(origin, raw_tree(origin, *entries))
        mirror = mirror_of(tmp_path)
        mirror.fetch(KEY, MAIN, sha)
        found = mirror.changes(KEY, [None], sha)
        assert not found.is_whole and not found.paths_known and why in found.why_not
        (out := tmp_path / why).mkdir()
        with pytest.raises(UnsafeContent, match=why):
            mirror.export(KEY, sha, out)


def test_nothing_is_written_through_a_link(origin: Origin, tmp_path: Path) -> None:
    """A link and a folder of one name are two entries of that name, and refused; on disks without case the link comes last."""
    (tmp_path / "elsewhere").mkdir()
    link = blob(origin, str(tmp_path / "elsewhere").encode())
    inner = raw_tree(origin, ("100644", b"file", blob(origin)))
    sha = push_tree(origin, raw_tree(origin, ("120000", b"a", link), ("40000", b"a", inner)))
    with pytest.raises(UnsafeContent):
        export(tmp_path, sha)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("target", [b"", b"a\0b", b"x" * 5000])
def test_a_link_that_cannot_be_is_refused(origin: Origin, tmp_path: Path, target: bytes) -> None:
    sha = push_tree(origin, raw_tree(origin, ("120000", b"a", blob(origin, target))))
    with pytest.raises(UnsafeContent, match="no link can have"):
        export(tmp_path, sha)


def test_a_name_that_the_disk_cannot_hold_is_refused_for_good(origin: Origin, tmp_path: Path) -> None:
    sha = push_tree(origin, raw_tree(origin, ("100644", b"x" * 300, blob(origin))))
    with pytest.raises(UnsafeContent, match="too long"):
        export(tmp_path, sha)


def test_folders_nested_without_end_are_a_fact_and_never_exported(origin: Origin, tmp_path: Path) -> None:
    tree = raw_tree(origin, ("100644", b"x", blob(origin)))
    for _ in range(45):
        tree = raw_tree(origin, ("40000", b"d" * 100, tree))
    sha = push_tree(origin, tree)
    with pytest.raises(UnsafeContent, match="longer than 4096 bytes"):
        export(tmp_path, sha)
    found = mirror_of(tmp_path).changes(KEY, [None], sha)
    assert not found.paths_known and "longer than 4096 bytes" in found.why_not


def bomb(origin: Origin, levels: int = 10) -> str:
    """Push a tree of ten trees of ten trees …: 10^levels files in a few hundred bytes."""
    tree = raw_tree(origin, *(("100644", b"%d" % n, blob(origin)) for n in range(10)))
    for _ in range(levels - 1):
        tree = raw_tree(origin, *(("40000", b"%d" % n, tree) for n in range(10)))
    return push_tree(origin, tree)


def test_a_tree_of_ten_thousand_million_files_is_a_fact_and_no_outage(origin: Origin, tmp_path: Path) -> None:
    sha = bomb(origin)
    mirror = mirror_of(tmp_path, GitLimits(seconds=20))
    mirror.fetch(KEY, MAIN, sha)
    found = mirror.changes(KEY, [None], sha)
    assert not found.is_whole and not found.paths_known and "more than 20000 folders" in found.why_not
    assert [m.text.strip() for m in found.messages] == ["odd"]  # what could be read was


def test_a_bomb_is_told_though_the_base_is_known_and_another_holds_it_too(origin: Origin, tmp_path: Path) -> None:
    origin.write(a=b"one\n")
    before = origin.push()
    sha = bomb(origin)
    mirror = mirror_of(tmp_path)
    mirror.fetch(KEY, MAIN, sha)
    assert not mirror.changes(KEY, [before], sha).paths_known
    assert mirror.changes(KEY, [sha], sha).paths_known  # nothing differs, so nothing is looked into


def test_an_export_above_the_most_files_is_refused_for_good(origin: Origin, tmp_path: Path) -> None:
    sha = bomb(origin)
    with pytest.raises(ContentTooLarge, match="TIDEGATE_EXPORT_FILES is 500") as refused:
        export(tmp_path, sha, GitLimits(export_files=500))
    assert refused.value.permanent and list((tmp_path / "out").iterdir()) == []


def test_an_export_above_the_most_bytes_is_refused_for_good(origin: Origin, tmp_path: Path) -> None:
    origin.write(a=b"x" * 600, b=b"x" * 600)
    sha = origin.push()
    with pytest.raises(ContentTooLarge, match="TIDEGATE_EXPORT_BYTES"):
        export(tmp_path, sha, GitLimits(export_bytes=1000))


def test_a_huge_blob_passes_in_pieces_and_is_not_read_for_inspection(plain: Origin, tmp_path: Path) -> None:
    with (plain.work / "zeros").open("wb") as file:
        file.truncate(96 * 1024 * 1024)
    sha = plain.push()
    out = export(tmp_path, sha)
    assert (out / "zeros").stat().st_size == 96 * 1024 * 1024
    assert [f.kind for f in mirror_of(tmp_path).changes(KEY, [None], sha).files] == [FileKind.LARGE]


def test_what_needs_too_much_memory_is_a_fact(plain: Origin, tmp_path: Path) -> None:
    """Such as one folder of a million names: small in a pack, and large in memory."""
    oid = blob(plain)
    tree = raw_tree(plain, *(("100644", b"%07d" % n, oid) for n in range(1_200_000)))
    sha = push_tree(plain, tree)
    mirror = mirror_of(tmp_path)
    mirror.fetch(KEY, MAIN, sha)
    found = mirror.changes(KEY, [None], sha)
    assert not found.is_whole and not found.paths_known and "lists of its folders" in found.why_not


def test_files_that_were_found_before_a_limit_are_read_all_the_same(plain: Origin, tmp_path: Path) -> None:
    """The answers to the question that was given up are not taken for those to the next."""
    oid = blob(plain, b"found\n")
    large = raw_tree(plain, *(("100644", b"%07d" % n, oid) for n in range(1_000_000)))
    inner = raw_tree(plain, ("40000", b"a", large), ("40000", b"b", raw_tree(plain, ("100644", b"x", oid))))
    sha = push_tree(plain, raw_tree(plain, ("40000", b"in", inner), ("100644", b"top", oid)))
    mirror = mirror_of(tmp_path)
    mirror.fetch(KEY, MAIN, sha)
    found = mirror.changes(KEY, [None], sha)
    assert [(f.path, f.added) for f in found.files] == [("top", ((1, "found"),))] and not found.paths_known


def test_a_damaged_blob_is_not_exported(plain: Origin, tmp_path: Path) -> None:
    plain.write(a=b"good\n", b=b"evil\n")
    sha = plain.push()
    mirror = mirror_of(tmp_path)
    mirror.fetch(KEY, MAIN, sha)
    objects = tmp_path / "mirrors/gogs/acme/shop.git/objects"
    good, evil = (objects / oid[:2] / oid[2:] for oid in (plain.git("rev-parse", "HEAD:a"), plain.git("rev-parse", "HEAD:b")))
    good.chmod(0o644)
    good.write_bytes(evil.read_bytes())
    (tmp_path / "out").mkdir()
    with pytest.raises(RepositoryUnavailable, match="damaged"):
        mirror.export(KEY, sha, tmp_path / "out")
