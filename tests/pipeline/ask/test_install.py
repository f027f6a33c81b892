"""Putting the check into a repository of Gogs, and taking it away."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from app.domain.errors import BadRequest, NotAllowed, NotFound
from app.integrations.forges.pre_receive import TIPS, install, is_ours, remove
from app.integrations.system import write_private
from tests.integrations.targets.cast import says, serving
from tests.pipeline.ask.cast import Hub, Person, git
from tests.pipeline.ask.test_silence import tools
from tests.ports import free_port


def place(hub: Hub) -> Path:
    return hub.bare / "custom_hooks" / "pre-receive"


def run(*args: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["gogs", "install-hook", *map(str, args)])
    return done.exit_code, done.output


def test_it_is_installed_whole_and_runs_for_everybody(hub: Hub) -> None:
    remove(hub.bare)
    code, said = run(hub.bare, "--forge", "gogs", "--secret-file", hub.secret_file, "--url", hub.gate.url)
    assert code == 0 and "merges of pull requests" in " ".join(said.split()) and "fails closed" in said
    assert stat.S_IMODE(place(hub).stat().st_mode) == 0o755
    assert place(hub).stat().st_uid == hub.bare.stat().st_uid
    assert sorted(each.name for each in place(hub).parent.iterdir()) == ["pre-receive", TIPS]


def test_installing_again_changes_nothing(hub: Hub) -> None:
    before = place(hub).read_text()
    assert install(hub.bare, hub.check()) is None
    assert place(hub).read_text() == before


def test_the_owner_is_the_repositorys(hub: Hub) -> None:
    if os.getuid() != 0:
        pytest.skip("only root gives files away")
    remove(hub.bare)
    place(hub).parent.rmdir()
    os.chown(hub.bare, 12345, 12346)
    install(hub.bare, hub.check())
    for path in (place(hub), place(hub).parent):
        assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12346)


def test_somebody_elses_script_stays_unless_forced_and_is_kept(hub: Hub) -> None:
    place(hub).write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises(NotAllowed, match="--force"):
        install(hub.bare, hub.check())
    with pytest.raises(NotAllowed, match="not removed"):
        remove(hub.bare)
    kept = install(hub.bare, hub.check(), force=True)
    assert kept is not None and kept.read_text() == "#!/bin/sh\nexit 0\n" and is_ours(place(hub))
    place(hub).write_text("#!/bin/sh\nexit 1\n")
    again = install(hub.bare, hub.check(), force=True)
    assert again is not None and again != kept and kept.read_text() == "#!/bin/sh\nexit 0\n"


def test_it_is_taken_away_once(alice: Person, hub: Hub) -> None:
    assert run(hub.bare, "--remove")[0] == 0 and not place(hub).exists()
    code, said = run(hub.bare, "--remove", "--json")
    assert code == 0 and json.loads(said) == {"removed": False, "restored": None}


def test_the_script_that_was_there_last_comes_back(hub: Hub) -> None:
    scripts = [f"#!/bin/sh\nexit {n}\n" for n in range(11)]
    for script in scripts:
        place(hub).write_text(script)
        install(hub.bare, hub.check(), force=True)
    code, said = run(hub.bare, "--remove")
    assert code == 0 and "is back, from" in said and place(hub).read_text() == scripts[-1]
    assert sorted(each.read_text() for each in place(hub).parent.iterdir()) == sorted(scripts)
    with pytest.raises(NotAllowed, match="not removed"):
        remove(hub.bare)


def test_a_folder_that_leads_elsewhere_is_not_followed(hub: Hub, tmp_path: Path) -> None:
    remove(hub.bare)
    place(hub).parent.rmdir()
    place(hub).parent.symlink_to(tmp_path)
    for act in (lambda: install(hub.bare, hub.check(), force=True), lambda: remove(hub.bare)):
        with pytest.raises(NotAllowed, match="is a link"):
            act()
    assert not (tmp_path / "pre-receive").exists()


@pytest.mark.parametrize("closed", ["the file", "its folder"])
def test_a_secret_that_gogs_cannot_read_is_refused_at_once(hub: Hub, tmp_path: Path, closed: str) -> None:
    if os.getuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(hub.bare, 12345, 12345)
    folder = Path("/tmp") / f"tidegate-{tmp_path.name}-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        secret = folder / "secret"
        write_private(secret, hub.secret_file.read_text())
        given = (hub.bare, "--forge", "gogs", "--secret-file", secret, "--url", hub.gate.url)
        os.chown(secret, 12345, 12345)
        assert run(*given)[0] == 0
        os.chown(secret if closed == "the file" else folder, 0, 0)
        folder.chmod(0o755 if closed == "the file" else 0o700)
        code, said = run(*given)
        assert code == 1 and "user 12345" in said and "cannot read it" in said
    finally:
        shutil.rmtree(folder)


def refused(hub: Hub, *given: object) -> str:
    """Install, expect a refusal, and return it; nothing may have been written."""
    remove(hub.bare)
    code, said = run(hub.bare, *given)
    assert code == 1 and list(place(hub).parent.iterdir()) == []
    return " ".join(said.split())


def options(hub: Hub, **over: object) -> list[object]:
    given = {"forge": "gogs", "secret-file": hub.secret_file, "url": hub.gate.url, "timeout": "2s", **over}
    return [word for name, value in given.items() for word in (f"--{name}", value)]


def test_a_secret_that_the_gate_does_not_know_is_not_installed(hub: Hub) -> None:
    write_private(hub.secret_file, "another-secret-altogether")
    said = refused(hub, *options(hub))
    assert "refuses this secret for the forge 'gogs' (HTTP 401)" in said and "decide_secrets" in said


@pytest.mark.parametrize(("forge", "why"), [("nope", "no forge 'nope'"), ("other", "not one of this forge's decide_secrets")])
def test_a_name_that_is_not_this_forges_is_not_installed(hub: Hub, forge: str, why: str) -> None:
    assert why in refused(hub, *options(hub, forge=forge))


def test_a_url_where_nothing_answers_is_not_installed_unless_nothing_is_asked(hub: Hub) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    said = refused(hub, *options(hub, url=url))
    assert "nothing listens there" in said and "--no-ask" in said
    assert "cannot be resolved" in refused(hub, *options(hub, url="http://gate.invalid"))
    assert run(hub.bare, *options(hub, url=url), "--no-ask")[0] == 0 and is_ours(place(hub))


def test_a_url_that_is_no_gate_that_redirects_or_that_speaks_no_tls_is_not_installed(hub: Hub) -> None:
    with serving() as other:
        for status, why in (
            (302, "redirects"),
            (404, "is the URL right"),
            (200, "does not answer as a gate"),
            (503, "the gate's log"),
        ):
            other.answer = says(status, b"hello")
            assert why in refused(hub, *options(hub, url=other.url)), status
        assert "TLS cannot be agreed" in refused(hub, *options(hub, url=other.url.replace("http:", "https:")))
        other.answer = other.is_silent
        assert "does not answer in time" in refused(hub, *options(hub, url=other.url))


def test_what_is_missing_on_the_machine_is_named(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    assert "no room for the check in" in refused(hub, *options(hub))
    monkeypatch.delenv("TMPDIR")
    monkeypatch.setenv("PATH", tools(tmp_path / "bin", "curl"))
    assert "curl is missing" in refused(hub, *options(hub))


def test_the_user_of_gogs_asks(hub: Hub) -> None:
    """Root could read the secret and write to the folder; the user of Gogs must."""
    if os.getuid() != 0:
        pytest.skip("only root becomes another user")
    os.chown(hub.bare, 12345, 12345)
    assert "user 12345 cannot read it" in refused(hub, *options(hub))


def test_what_stood_at_the_installation_is_written_down(alice: Person, hub: Hub) -> None:
    remove(hub.bare)
    assert not (place(hub).parent / TIPS).exists()
    tip = alice.git("rev-parse", "HEAD")
    git(hub.bare, "tag", "-a", "-m", "x", "v1", tip)
    install(hub.bare, hub.check())
    assert (place(hub).parent / TIPS).read_text() == f"^{tip}\n"


def test_only_a_repository_of_gogs_is_touched(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="bare repository"):
        install(tmp_path, hub.check())
    git(tmp_path, "init", "-q", "--bare", "other.git")
    with pytest.raises(NotFound, match="not managed by Gogs"):
        install(tmp_path / "other.git", hub.check())
    with pytest.raises(NotFound):
        install(hub.bare.parent / "nothing.git", hub.check())


@pytest.mark.parametrize(
    "over",
    [
        {"url": "ftp://gate"},
        {"url": "http://gate/\nx"},
        {"url": "http://gate x"},
        {"forge": "Gogs;x"},
        {"forge": ""},
        {"seconds": 1},
        {"seconds": 61},
        {"secret_file": Path("a\nb")},
    ],
)
def test_values_that_do_not_fit_are_refused(hub: Hub, over: dict[str, object]) -> None:
    before = place(hub).read_text()
    with pytest.raises(BadRequest):
        install(hub.bare, hub.check(**over))
    assert place(hub).read_text() == before


def test_no_value_can_become_a_command(alice: Person, hub: Hub, tmp_path: Path) -> None:
    odd = tmp_path / 'it\'s $(touch pwned) `touch pwned`; @FORGE@ "x"'
    write_private(odd, hub.secret_file.read_text())
    install(hub.bare, hub.check(secret_file=odd))
    alice.commit()
    assert alice.push("main").returncode == 0
    install(hub.bare, hub.check(url=f"{hub.gate.url}/';touch${{IFS}}pwned;'$(touch${{IFS}}pwned)"))
    alice.commit()
    assert "HTTP 404" in alice.push("main").stderr or alice.push("main").returncode != 0
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize("secret", ["short", "with a space in it, long", 'quote"quote"quote"quote'])
def test_a_secret_that_could_not_be_sent_is_refused_at_once(hub: Hub, secret: str) -> None:
    write_private(hub.secret_file, secret)
    code, said = run(hub.bare, "--forge", "gogs", "--secret-file", hub.secret_file, "--url", hub.gate.url)
    assert code == 1 and "a secret must have" in said and secret not in said


def test_a_secret_that_everybody_may_read_is_refused(hub: Hub) -> None:
    hub.secret_file.chmod(0o644)
    code, said = run(hub.bare, "--forge", "gogs", "--secret-file", hub.secret_file, "--url", hub.gate.url)
    assert code == 1 and "open to everybody" in said


@pytest.mark.parametrize("timeout", ["soon", "0s", "2d", ""])
def test_a_time_limit_is_a_time(hub: Hub, timeout: str) -> None:
    given = ("--forge", "gogs", "--secret-file", hub.secret_file, "--url", hub.gate.url, "--timeout", timeout)
    assert run(hub.bare, *given)[0] == 1


def test_what_must_be_said_is_asked_for(hub: Hub) -> None:
    assert run(hub.bare)[0] == 1 and run(hub.bare, "--forge", "gogs")[0] == 1
