"""What tidegate.toml says in vain: slips that `config check` refuses, and doubts that it warns of, with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config.load import Configuration, load_configuration
from app.guard.load import KINDS
from tests.configurations import toml


def load(folder: Path, text: str) -> Configuration:
    path = folder / "tidegate.toml"
    path.write_text(text)
    return load_configuration(path, KINDS)


def slips(folder: Path, text: str) -> list[str]:
    return [str(slip).removeprefix(f"{folder}/") for slip in load(folder, text).slips]


UMASK = 'say modes = "commit" or "umask"'  # of the target that each of these configurations has


def all_doubts(folder: Path, text: str) -> list[str]:
    return [str(doubt).removeprefix(f"{folder}/") for doubt in load(folder, text).doubts]


def doubts(folder: Path, text: str) -> list[str]:
    return [doubt for doubt in all_doubts(folder, text) if UMASK not in doubt]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_plain_file_has_none(tmp_path: Path) -> None:
    assert (slips(tmp_path, toml()), doubts(tmp_path, toml())) == ([], [])


@pytest.mark.parametrize(
    "pattern", ["branch:refs/heads/main", "branch:main ", "tag:v[0-9", "tag:^v.*$", "branch:a***", "branch:/main"]
)
def test_a_pattern_that_fits_no_ref_is_a_slip(tmp_path: Path, pattern: str) -> None:
    (slip,) = slips(tmp_path, toml(production={"deploys": ["branch:main", pattern]}))
    assert slip.startswith(f"tidegate.toml:20: environments.0.deploys.1: the pattern {pattern!r} ")


@pytest.mark.parametrize("pattern", ["branch:**", "branch:release/**", "tag:v?[0-9]*", "release"])
def test_a_documented_pattern_is_taken(tmp_path: Path, pattern: str) -> None:
    assert slips(tmp_path, toml(production={"deploys": [pattern]})) == []


@pytest.mark.parametrize("path", ["~/www/shop", "~deploy/shop", "$HOME/shop", "${HOME}/shop"])
def test_a_path_that_a_shell_would_expand_is_a_slip(tmp_path: Path, path: str) -> None:
    (slip,) = slips(tmp_path, toml(site={"path": path}))
    assert slip.startswith("tidegate.toml:15: targets.site.path: ") and "write the whole path" in slip


@pytest.mark.parametrize("reference", ["file:~/hook", "file:$HOME/hook", "env:$HOOK", "env:${HOOK}"])
def test_a_reference_that_a_shell_would_expand_is_a_slip(tmp_path: Path, reference: str) -> None:
    (slip,) = slips(tmp_path, toml(forge={"webhook_secrets": [reference]}))
    assert "tidegate.toml:6: forges.gogs.webhook_secrets.0: " in slip


def test_the_arguments_of_a_command_are_its_own(tmp_path: Path) -> None:
    command = {"kind": "command", "path": None, "argv": ["/usr/bin/deploy", "~/x", "$RELEASE"]}
    assert slips(tmp_path, toml(site=command)) == []
    assert len(slips(tmp_path, toml(site=command | {"argv": ["~/bin/deploy"]}))) == 1


def test_a_repository_named_as_in_a_clone_url_is_a_slip(tmp_path: Path) -> None:
    (slip,) = slips(tmp_path, toml(production={"repository": "gogs:acme/shop.git"}))
    assert "ends with .git: leave that out" in slip


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"production": {"deploys": ["branch:!main"]}}, "begins with !"),
        ({"production": {"deploys": ["branch:release/{1,2}"]}}, "write a pattern for each"),
        ({"forge": {"url": "https://bot:pw@git.example"}}, "holds a password"),
        ({"forge": {"url": "http://git.example", "api_token": "env:TOKEN"}}, "forges.gogs.url: is http, so api_token crosses"),
        (
            {"forge": {"url": "https://x.example", "clone": "http://y.example/{repository}", "api_token": "env:TOKEN"}},
            "forges.gogs.clone: is http, so api_token crosses",
        ),
    ],
)
def test_what_is_allowed_and_probably_not_meant_is_doubted(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    (doubt,) = doubts(tmp_path, toml(**changes))  # type: ignore[arg-type]
    assert doubt.startswith("tidegate.toml:") and told in doubt and "pw" not in doubt


def test_a_target_that_no_environment_uses_is_doubted(tmp_path: Path) -> None:
    spare = '[targets.spare]\nkind = "directory"\nzone = "local"\npath = "/srv/spare"\nmodes = "umask"\n'
    assert doubts(tmp_path, toml(spare)) == ["tidegate.toml:24: targets.spare: no environment deploys to it"]


@pytest.mark.parametrize(
    "forge",
    [
        {"url": "http://127.0.0.1:3000", "api_token": "env:TOKEN"},
        {"url": "http://localhost", "api_token": "env:TOKEN"},
        {"url": "http://[::1]:3000", "api_token": "env:TOKEN"},
        {"url": "https://git.example", "api_token": "env:TOKEN"},
        {"url": "http://git.example"},
        {"url": "http://git.example", "api_token": "env:TOKEN", "allow_plaintext": True},
    ],
)
def test_a_token_that_stays_on_the_machine_or_is_allowed_is_not_doubted(tmp_path: Path, forge: dict[str, object]) -> None:
    assert doubts(tmp_path, toml(forge=forge)) == []


HOOK = '[targets.spare]\nkind = "webhook"\nzone = "local"\nurl = "{}"\nsecret = "env:S"\n'


@pytest.mark.parametrize("url", ["http://deploy.example/hook", "http://10.0.0.1:8080/", "http://127.0.0.1.evil.example/"])
def test_a_target_that_would_be_sent_its_token_in_clear_is_doubted(tmp_path: Path, url: str) -> None:
    told = "url: is http, so the deployment token crosses the network in clear text: use https, or say allow_plaintext = true"
    assert any(told in doubt for doubt in doubts(tmp_path, toml(HOOK.format(url))))
    allowed = HOOK.format(url) + "allow_plaintext = true\n"
    assert not any("clear text" in doubt for doubt in doubts(tmp_path, toml(allowed)))


@pytest.mark.parametrize("url", ["https://deploy.example/hook", "http://127.0.0.1:8080/", "http://localhost/", "http://[::1]/"])
def test_a_target_whose_token_stays_on_the_machine_or_is_hidden_is_not_doubted(tmp_path: Path, url: str) -> None:
    assert not any("clear text" in doubt for doubt in doubts(tmp_path, toml(HOOK.format(url))))


@pytest.mark.parametrize(
    ("site", "is_doubted"),
    [
        ({"modes": None}, True),
        ({"kind": "command", "path": None, "argv": ["/bin/true"], "modes": None}, True),
        ({"kind": "command", "path": None, "argv": ["/bin/true"], "cwd": "/srv", "modes": None}, False),
        ({"modes": "umask"}, False),
    ],
)
def test_a_target_whose_modes_follow_the_umask_unsaid_is_doubted(
    tmp_path: Path, site: dict[str, object], is_doubted: bool
) -> None:
    assert any(UMASK in doubt for doubt in all_doubts(tmp_path, toml(site=site))) is is_doubted


def test_a_relative_path_is_doubted_if_processes_start_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = toml(site={"path": "site"}, forge={"webhook_secrets": ["file:hook"]})
    assert doubts(tmp_path, text) == []
    monkeypatch.chdir("/")
    assert [doubt.split(": ")[1] for doubt in doubts(tmp_path, text)] == ["forges.gogs.webhook_secrets.0", "targets.site.path"]
