"""Make the adapters that the configuration names, each with the secrets, clock and folders that it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from app.config.load import Configuration
from app.config.tables.forges import ForgeSettings
from app.config.tables.identity import SourceSettings
from app.config.tables.issuers import IssuerSettings
from app.config.tables.sinks import SinkSettings
from app.domain.clock import Clock
from app.domain.environment import TargetSettings
from app.guard.secrets import secret
from app.integrations.forges.accounts import ForgeAccounts
from app.integrations.http import HttpClient
from app.integrations.identity.oidc.issuers import IssuerOptions, login_profile_of, profile_of
from app.integrations.identity.oidc.validator import HeldKeys, Validator, Validators
from app.integrations.identity.protocol import Tools
from app.integrations.identity.scim import Options as ScimOptions
from app.integrations.identity.scim import ScimDocuments
from app.integrations.registry import FORGES, HINT_READERS, SINKS, SOURCES, TARGETS
from app.integrations.repositories.git import GitLimits
from app.integrations.repositories.mirror import Mirror
from app.integrations.system import pause
from app.integrations.targets.protocol import Target
from app.pipeline.ports.services import ForgeBinding, IssuerBinding, SinkBinding, SourceBinding, SourceHooks
from app.settings import Settings, environ

SOURCE_TIMEOUT = 5.0  # seconds


def bind_forge(forge: ForgeSettings) -> ForgeBinding:
    """Bind a forge; its secrets are read at every delivery."""

    def read(references: tuple[str, ...]) -> list[bytes]:
        return [secret(reference).reveal() for reference in references]

    return ForgeBinding(
        FORGES.load(forge.kind)(),
        lambda: read(forge.webhook_secrets),
        ForgeAccounts(forge.name, forge.url),
        forge.access_issuer,
        (lambda: read(forge.decide_secrets)) if forge.decide_secrets else None,
        {name: partial(read, references) for name, references in forge.repository_secrets.items()},
        forge.committers,
    )


def number_of(forge: ForgeSettings) -> Callable[[str], str | None]:
    """Ask this forge which number a login has, with the gate's own token if it has one."""
    accounts = ForgeAccounts(forge.name, forge.url)

    def ask(login: str) -> str | None:
        token = secret(forge.api_token).reveal().decode().strip() if forge.api_token else None
        return accounts.number_of(login, token)

    return ask


def make_target(target: TargetSettings, state: Path, clock: Clock) -> Target:
    """Make a target, which keeps its own state below `state`."""
    options = TARGETS.options(target.kind)(**target.options)
    return TARGETS.load(target.kind)(target.name, options, state_dir=state / "targets", clock=clock, secret=secret)


def bind_source(source: SourceSettings, clock: Clock) -> SourceBinding:
    """Bind an identity source; the source itself is made when it is to be read."""
    options, kind = source.options, source.rule.kind
    client = HttpClient(connect_timeout=SOURCE_TIMEOUT, read_timeout=4 * SOURCE_TIMEOUT)
    tools = Tools(secret=secret, clock=clock, pause=pause, client=client)
    documents = ScimDocuments(options) if isinstance(options, ScimOptions) else None
    return SourceBinding(source.rule, lambda: SOURCES.load(kind)(options, tools), _hooks(source), documents)


def _hooks(source: SourceSettings) -> SourceHooks | None:
    reference = source.options.model_dump().get("events_secret")
    if reference is None:
        return None
    reader = HINT_READERS.load(source.rule.kind)
    return SourceHooks(lambda: secret(reference).reveal(), reader.parse, reader.challenge_answer)


def bind_sink(sink: SinkSettings, clock: Clock) -> SinkBinding:
    """Bind a sink; the sink itself is made when there is a notice to send, and connects to nothing before."""
    return SinkBinding(
        sink.events,
        sink.environments,
        lambda: SINKS.load(sink.kind)(sink.options, clock=clock, secret=secret),
        is_mail=sink.kind == "smtp",
    )


def bind_issuers(configuration: Configuration, clock: Clock, keys: HeldKeys) -> tuple[dict[str, IssuerBinding], Validators]:
    """Bind the issuers by name, and make the validator for the tokens of all; `keys` of issuers that left are dropped."""
    options = {name: _options(issuer) for name, issuer in configuration.issuers.items()}
    profiles = {name: profile_of(name, own) for name, own in options.items()}
    tokens = Validators(list(profiles.values()), clock=clock, keys=keys)
    places = {name: (profile.issuer, profile.jwks_url) for name, profile in profiles.items()}
    for place in set(keys) - set(places.values()):
        del keys[place]

    def bind(name: str) -> IssuerBinding:
        held, login = keys[places[name]], login_profile_of(name, options[name])
        return IssuerBinding(
            url=options[name].issuer,
            is_access_proxy=options[name].kind == "cloudflare_access",
            client=options[name],
            tokens=Validator(profiles[name], held, clock),
            logins=Validator(login, held, clock) if login else None,
            rule=configuration.issuers[name].rule,
            required_scopes=configuration.issuers[name].required_scopes,
        )

    return {name: bind(name) for name in options}, tokens


def _options(issuer: IssuerSettings) -> IssuerOptions:
    options = issuer.options
    assert isinstance(options, IssuerOptions)
    return options


def make_mirror(forges: Mapping[str, ForgeSettings], state: Path, limits: GitLimits) -> Mirror:
    """Make the mirror of the forges' repositories below `state`."""
    return Mirror(
        state / "mirrors",
        lambda key: clone_url(forges, key),
        lambda key: _api_token(forges, key),
        environ=environ(),
        limits=limits,
    )


def git_limits(settings: Settings) -> GitLimits:
    """Return the limits of git and of exports from the settings."""
    return GitLimits(
        seconds=settings.git_seconds,
        fetch_seconds=settings.fetch_seconds,
        memory_bytes=settings.git_memory_bytes,
        fetch_bytes=settings.fetch_bytes,
        export_files=settings.export_files,
        export_bytes=settings.export_bytes,
    )


def clone_url(forges: Mapping[str, ForgeSettings], key: str) -> str:
    """Return the clone URL of the repository `FORGE:OWNER/NAME`: from the configuration, never from a payload."""
    name, _, repository = key.partition(":")
    forge = forges[name]
    return forge.clone.format(url=forge.url.rstrip("/"), repository=repository)


def _api_token(forges: Mapping[str, ForgeSettings], key: str) -> str | None:
    reference = forges[key.partition(":")[0]].api_token
    return secret(reference).reveal().decode() if reference else None
