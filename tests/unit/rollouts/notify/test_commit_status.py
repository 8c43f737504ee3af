"""Statuses at commits, at GitHub and GitLab."""

from __future__ import annotations

import pytest
from doubles.notified import GitHubDouble, GitLabDouble

from rollouts.api.commitstatus import REPOSITORY_ANNOTATION, CommitStatus, GitHost, repository_of
from rollouts.api.writeback import COMMIT_ANNOTATION
from rollouts.notify.base import LaterError, RefusedError, UnclearError
from rollouts.notify.commit_status import CommitStatusSink

OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture
async def github(started):
    return await started(GitHubDouble())


@pytest.fixture
async def gitlab(started):
    return await started(GitLabDouble())


@pytest.fixture
def sink(session, secret):
    def make(double, token=None):
        kind = "GitHub" if isinstance(double, GitHubDouble) else "GitLab"
        host = GitHost(kind=kind, url=double.root, token_file=secret(token or double.TOKEN))
        return CommitStatusSink(
            host, CommitStatus(hosts=(host,)), "commitStatus.hosts.0", session, "https://c/{{ name }}"
        )

    return make


@pytest.fixture
def about(transition):
    """A transition of a release of a commit in a double's repository."""

    def make(double, reason, commit=OLD, **more):
        path = "acme/shop" if isinstance(double, GitHubDouble) else "acme/platform/shop"
        annotations = {COMMIT_ANNOTATION: commit, REPOSITORY_ANNOTATION: f"{double.root}/{path}.git"}
        return transition(reason, annotations=annotations, **more)

    return make


async def play(told, transitions, memory=None, *, doubtful=False):
    memory = memory or {}
    for transition in transitions:
        assert told.wants(transition)
        memory = await told.send(transition, memory, doubtful=doubtful)
    return memory


@pytest.mark.parametrize(
    ("reasons", "states"),
    [
        (["ReleaseStarted", "Promoted"], ["pending", "success"]),
        (["ReleaseStarted", "RollbackStarted"], ["pending", "failure"]),
        (["ReleaseStarted", "Aborted", "Reverted"], ["pending", "failure"]),
        (["ReleaseStarted", "Reverted"], ["pending", "error"]),
        (["NothingToJudge", "Promoted"], ["pending", "success"]),
        (["RevisionRefused"], ["failure"]),
        (
            ["ReleaseStarted", "RollbackStarted", "CanaryReplaced", "Promoted"],
            ["pending", "failure", "pending", "success"],
        ),
    ],
)
async def test_a_commit_shows_how_its_release_goes(github, sink, about, reasons, states):
    await play(sink(github), [about(github, reason) for reason in reasons])
    assert github.states(OLD) == states
    first = github.statuses[OLD][0]
    assert (first["context"], first["target_url"]) == ("coalmine/shop/payment", "https://c/payment")


async def test_a_release_that_was_overtaken_ends_at_its_own_commit(github, sink, about):
    """With the change the annotation names the next commit already."""
    overtaken = [
        about(github, "ReleaseStarted"),
        about(github, "Superseded", NEW),
        about(github, "CanaryReplaced", NEW),
    ]
    memory = await play(sink(github), overtaken)
    assert (github.states(OLD), github.states(NEW)) == (["pending", "error"], ["pending"])
    await play(sink(github), [about(github, "Promoted", "c" * 40)], memory)
    assert github.states(NEW) == ["pending", "success"]


async def test_an_end_that_was_never_told_is_told_with_the_next_release(github, sink, about):
    await play(sink(github), [about(github, "ReleaseStarted"), about(github, "ReleaseStarted", NEW)])
    assert github.states(OLD) == ["pending", "error"]


async def test_gitlab_has_its_own_words_and_its_refusal_of_the_same_is_success(gitlab, sink, about):
    told = sink(gitlab)
    started = about(gitlab, "ReleaseStarted")
    memory = await play(told, [started])
    await play(told, [started], doubtful=True)
    await play(told, [about(gitlab, "RollbackStarted")], memory)
    (status,) = gitlab.statuses[OLD]
    assert (status["state"], status["name"]) == ("failed", "coalmine/shop/payment")


async def test_github_is_asked_before_one_that_may_be_there_is_set_again(github, sink, about):
    github.trouble.next = ["lost"]
    with pytest.raises(UnclearError):
        await play(sink(github), [about(github, "ReleaseStarted")])
    await play(sink(github), [about(github, "ReleaseStarted")], doubtful=True)
    assert github.states(OLD) == ["pending"]
    github.trouble.next = ["cut"]
    with pytest.raises(UnclearError):
        await play(sink(github), [about(github, "Promoted")])
    await play(sink(github), [about(github, "Promoted")], {"commit": OLD, "repository": "acme/shop"}, doubtful=True)
    assert github.states(OLD) == ["pending", "success"]


async def test_limits_are_kept_to_and_refusals_say_what_to_mend(github, sink, about):
    github.trouble.next, github.trouble.retry_after = ["429"], "31"
    with pytest.raises(LaterError) as later:
        await play(sink(github), [about(github, "ReleaseStarted")])
    assert later.value.seconds == 31
    with pytest.raises(RefusedError, match=r"commitStatus\.hosts\.0\.tokenFile") as refused:
        await play(sink(github, "ghp_wrong"), [about(github, "ReleaseStarted")])
    assert "ghp_wrong" not in str(refused.value)
    with pytest.raises(RefusedError, match=r"No commit found .*correct the annotations"):
        await play(sink(github), [about(github, "ReleaseStarted", "abcdef0")])


def test_only_releases_of_commits_at_this_host_are_told(sink, transition):
    double = GitHubDouble()
    double.port = 1
    told = sink(double)
    elsewhere = {COMMIT_ANNOTATION: OLD, REPOSITORY_ANNOTATION: "https://git.elsewhere/acme/shop"}
    assert not told.wants(transition("ReleaseStarted", annotations=elsewhere))
    assert not told.wants(transition("ReleaseStarted", annotations={REPOSITORY_ANNOTATION: f"{double.root}/acme/shop"}))
    here = {COMMIT_ANNOTATION: OLD, REPOSITORY_ANNOTATION: f"{double.root}/acme/shop"}
    assert told.wants(transition("ReleaseStarted", annotations=here))
    assert not told.wants(transition("StepStarted", annotations=here))


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("https://github.com/acme/shop", ("github.com", "acme/shop")),
        ("https://github.com/acme/shop.git/", ("github.com", "acme/shop")),
        ("git@GitHub.com:acme/shop.git", ("github.com", "acme/shop")),
        ("ssh://git@git.shop:2222/a/b/c.git", ("git.shop", "a/b/c")),
        ("https://git.shop:8443/a/b", ("git.shop:8443", "a/b")),
        ("acme/shop", None),
        ("https://github.com/", None),
        ("https://github.com/../etc", None),
        ("https://[", None),
    ],
)
def test_repositories_are_named_as_git_clone_takes_them(address, found):
    assert repository_of(address) == found


@pytest.mark.parametrize(
    ("kind", "url", "api"),
    [
        ("GitHub", "https://github.com", "https://api.github.com"),
        ("GitHub", "https://git.shop/", "https://git.shop/api/v3"),
        ("GitLab", "https://gitlab.com", "https://gitlab.com/api/v4"),
    ],
)
def test_the_api_is_where_the_host_has_it(kind, url, api):
    assert GitHost(kind=kind, url=url, token_file="x").api == api
