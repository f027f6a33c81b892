"""Put the configured sinks together: the part of `guard/source.py` that knows who is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.config.tables.sinks import SinkSettings
from app.domain.clock import Clock
from app.integrations.registry import SINKS
from app.integrations.secrets.protocol import Secret
from app.pipeline.ports.services import SinkBinding


def sink_bindings(sinks: Mapping[str, SinkSettings], clock: Clock, secret: Callable[[str], Secret]) -> dict[str, SinkBinding]:
    """Bind each sink; it is made when something is to be told, and connects to nothing before."""

    def bound(sink: SinkSettings) -> SinkBinding:
        return SinkBinding(
            sink.events, sink.environments, lambda: SINKS.load(sink.kind)(sink.options, clock=clock, secret=secret)
        )

    return {name: bound(sink) for name, sink in sinks.items()}
