"""A day of a real Gogs 0.14 through the whole line: what each delivery leads to, by the policies that `make up` writes."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from tests.recorded.day import Day, a_day, recorded

POLICIES = Path(__file__).parents[2] / "examples" / "policies"
STARTER = "\n".join((POLICIES / name).read_text() for name in ("deploy.cedar", "push.cedar", "rollback.cedar"))
NOT_FORCED = """
@id("nothing-by-force") @reason("nothing is pushed by force")
forbid (principal, action == Action::"deploy", resource) when { context.forced };
"""
PEOPLE = """
[[people]]
subject = "alice"
emails = ["alice@example.com", "alice@home.example"]
accounts = ["gogs:2"]
groups = ["deployers", "operators"]

[[people]]
subject = "bob"
emails = ["bob@example.com"]
accounts = ["gogs:3"]
"""
CAROL = """
[[people]]
subject = "carol"
emails = ["carol@example.com"]
accounts = ["gogs:4"]
"""
ENVIRONMENTS: dict[str, dict[str, object]] = {
    "production": {"repository": "gogs:alice/shop", "deploys": ["branch:main"]},
    "store": {"repository": "gogs:acme/store", "repository_id": 1, "deploys": ["branch:main"]},
    "tags": {"repository": "gogs:alice/shop", "deploys": ["tag:*", "release"]},
    "preview": {"repository": "gogs:alice/shop", "deploys": ["branch:feature/**"]},
    "web": {"repository": "gogs:acme/web", "deploys": ["branch:main"]},
    "empty": {"repository": "gogs:acme/empty1", "deploys": ["branch:main"]},
}
RENAMED = "no environment deploys gogs:alice/store (number 1), which was gogs:alice/shop: renamed?"
# The number of each delivery: its deployment with the beginning of the reason, or a part of the reason why nothing follows.
EXPECTED: dict[int, str] = {
    1: "a new branch: its push carries it",
    2: "production succeeded",
    3: "production succeeded",
    11: "a new branch: its push carries it",
    19: "no environment of gogs:alice/shop",
    27: "production denied: no policy permits bob",
    28: "production succeeded",
    29: "production denied: no policy permits bob",
    30: "production succeeded",
    31: "tags succeeded",
    32: "tags succeeded",
    33: "tags succeeded",
    34: "tags succeeded",
    35: "tags succeeded",  # tag v1.0 moved by force
    36: "was already planned",  # annotated tag v1.1 made anew
    37: "tags succeeded",
    38: "tags denied: no policy permits bob",
    39: "was already planned",  # release on a tag that exists
    40: "tags succeeded",
    41: "a new branch: its push carries it",
    42: "preview succeeded",
    43: "a new branch: its push carries it",
    44: "no environment of gogs:alice/shop",
    45: "a new branch: its push carries it",
    46: "preview succeeded",
    47: "production succeeded",
    48: "a new branch: its push carries it",
    49: "preview succeeded",
    50: "tags succeeded",
    51: "production succeeded",
    52: "production succeeded",  # amend, push by force
    53: "production succeeded",  # amend again with one more, push by force
    54: "production succeeded",  # rewind by three, push by force
    55: "production succeeded",  # web editor, alice
    56: "production denied: no policy permits bob",  # web editor, bob
    57: "a new branch: its push carries it",
    58: "no environment of gogs:alice/shop",
    59: "a new branch: its push carries it",
    60: "no environment of gogs:alice/shop",
    61: "production succeeded",  # bob-fix merged in the pages by alice
    62: "production denied: no policy permits bob",  # alice-fix merged in the pages by bob: pusher says alice
    63: "production denied: production-needs-known-authors",  # carol"s fork merged in the pages by alice: pusher says carol
    64: "production denied: production-needs-known-authors",
    65: "production denied: production-needs-known-authors",
    66: "a new branch: its push carries it",
    67: "no environment of gogs:alice/shop",
    68: "production denied: production-needs-known-authors",  # bob-fix2 merged in the pages by alice
    69: "production denied: production-needs-known-authors",  # carol"s third fix, rebase merge in the pages by alice
    70: "production denied: production-needs-known-authors",
    71: "test delivery: before and after are the same commit",  # Test Delivery button
    72: "production denied: production-needs-known-authors",
    73: "production denied: production-needs-known-authors",  # bob renamed to robert
    74: "production denied: account gogs:5 (bob) is not linked to a person",  # a new account took the name bob
    75: RENAMED,  # repository renamed to store
    76: "a new branch: its push carries it",
    77: "web succeeded",
    78: "web succeeded",
    79: "web succeeded",
    80: "web succeeded",
    81: RENAMED,
    82: "web succeeded",
    83: "web succeeded",  # signed on top of an unsigned one
    84: "web succeeded",
    85: "web succeeded",  # signed by a key nobody knows
    86: RENAMED,  # forced back to a commit deployed before
    87: RENAMED,
    88: RENAMED,
    89: RENAMED,
    90: RENAMED,
    91: RENAMED,
    92: RENAMED,
    93: "a new branch: its push carries it",
    94: RENAMED,
    95: RENAMED,
    201: RENAMED,
    202: RENAMED,
    203: RENAMED,
    204: RENAMED,
    205: RENAMED,
    206: RENAMED,
    207: RENAMED,
    208: RENAMED,
    209: "web succeeded",
    210: "web succeeded",
    211: "web succeeded",
    226: "issues events lead to no deployment",
    227: "issue_comment events lead to no deployment",
    228: "issues events lead to no deployment",
    229: "delete events lead to no deployment",
    230: "delete events lead to no deployment",
    231: "a new branch: its push carries it",
    232: RENAMED,
    233: RENAMED,
    234: "fork events lead to no deployment",
    235: "a new branch: its push carries it",
    236: RENAMED,
    237: "delete events lead to no deployment",
    238: "store succeeded",
    239: "was already planned",
    240: "store succeeded",
    241: "was already planned",
    242: "a new branch: its push carries it",
    243: "empty succeeded",
    252: "store denied: no policy permits bob",
    253: "was already planned",
    254: "mirror: this was not pushed by a person",  # mirror sync
    255: "a new branch: its push carries it",
    256: "a new branch: its push carries it",
    257: "no environment of gogs:acme/store",
    258: "no environment of gogs:acme/store",
    259: "pull_request events lead to no deployment",
    260: "the push of the merge carries it",
    261: "store succeeded",  # pr9 merged in the pages: pusher is the organisation
    262: "was already planned",
    263: "store succeeded",
    264: "was already planned",
    271: "store succeeded",
    272: "was already planned",
    273: "store succeeded",
    274: "was already planned",
}
# A moved tag, and each push to a branch that no longer holds what was released from it: 84 and 209 left commits behind, too.
FORCED = [35, *(52, 53, 54, 55, 56, 61, 62, 63, 64, 65, 68, 69, 70, 72, 73), *(84, 85), *(209, 210, 211)]
MERGED_BY_GOGS = (61, 68, 69)  # in its pages; the last is a rebase of carol's commits


def day(engine: Engine, folder: Path, *, people: str = PEOPLE, policies: str = STARTER) -> Day:
    return a_day(engine, folder, people=people, policies=policies, environments=ENVIRONMENTS)


def results_of(day: Day) -> dict[int, str]:
    """Drive the day, and spell what each delivery leads to."""
    results = {}
    for delivery in recorded():
        made = [f"{d.environment} {d.state}" + (f": {d.reason}" if d.reason else "") for d in day.deliver(delivery)]
        results[delivery.seq] = "; ".join(made) or day.reason()
    return results


def test_each_delivery_of_the_day_leads_to_what_people_mean(engine: Engine, tmp_path: Path) -> None:
    today = day(engine, tmp_path)
    results = results_of(today)
    assert results.keys() == EXPECTED.keys()
    wrong = {seq: (said, EXPECTED[seq]) for seq, said in results.items() if not _fits(said, EXPECTED[seq])}
    assert wrong == {}
    assert (today.current("production") or "").startswith("0a8f811")


def _fits(said: str, expected: str) -> bool:
    state, _, part = expected.partition(": ")
    return expected in said or (said.startswith(state) and bool(part) and part in said)


def test_with_carol_known_her_merged_commits_are_deployed(engine: Engine, tmp_path: Path) -> None:
    results = results_of(day(engine, tmp_path, people=PEOPLE + CAROL))
    assert [results[number] for number in MERGED_BY_GOGS] == ["production succeeded"] * 3


def test_whatever_left_commits_behind_is_known_as_forced(engine: Engine, tmp_path: Path) -> None:
    results = results_of(day(engine, tmp_path, policies=STARTER + NOT_FORCED))
    forced = [number for number, said in results.items() if "nothing-by-force" in said]
    assert forced == FORCED


def test_the_day_again_by_other_ids_deploys_nothing_twice(engine: Engine, tmp_path: Path) -> None:
    today = day(engine, tmp_path)
    first = [d for delivery in recorded() for d in today.deliver(delivery)]
    again = [d for delivery in recorded() for d in today.deliver(delivery.sent_again())]
    assert again == []
    assert len({(d.environment, d.ref, d.sha, d.before) for d in first}) == len(first)
