"""The two tasks of notices: the tick finds the sinks with due notices, and each sink gets a message of its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.domain.errors import SinkUnavailable
from app.pipeline.tell.notify import MOST
from tests.pipeline.conftest import line
from tests.pipeline.tell.test_notify import Post, post

__all__ = ["line", "post"]


@pytest.fixture
def periodic(post: Post, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TIDEGATE_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("TIDEGATE_REDIS_URL", "redis://127.0.0.1:1/0")
    from workers import periodic

    monkeypatch.setattr(periodic, "process", lambda: SimpleNamespace(services=post.line.services))
    return periodic


def test_the_tick_sends_a_message_for_each_sink_that_is_due(post: Post, periodic: Any) -> None:
    post.sink("mail")
    post.sink("idle", "session:*")
    post.tell()
    periodic.notify_due()
    assert post.line.wakes.sinks == ["mail", "ops"]


def test_a_sink_with_more_than_one_go_has_another_message_at_once(post: Post, periodic: Any) -> None:
    for _ in range(MOST + 1):
        post.tell()
    periodic.notify_sink("ops")
    assert post.line.wakes.sinks == ["ops"]
    periodic.notify_sink("ops")
    assert (post.line.wakes.sinks, len(post.sinks["ops"].told)) == (["ops"], MOST + 1)


def test_a_sink_that_is_away_is_one_line_in_the_log_and_no_error(post: Post, periodic: Any) -> None:
    post.sinks["ops"].fault = SinkUnavailable("no connection (ConnectError)")
    post.tell()
    with capture_logs() as lines:
        periodic.notify_sink("ops")
        periodic.notify_sink("ops")
    assert [(line["outcome"], line["fault"], line["log_level"]) for line in lines] == [
        ("told", "no connection (ConnectError)", "warning")
    ]


def test_beat_asks_for_it_every_few_seconds(periodic: Any) -> None:
    entry = periodic.app.conf.beat_schedule["notify_due"]
    assert (entry["task"], entry["schedule"]) == ("notify_due", 5.0)
