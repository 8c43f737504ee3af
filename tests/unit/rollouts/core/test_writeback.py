"""Reverts in git: when one is wanted, which commit it is about, what it says."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from rollouts.api.writeback import COMMIT_ANNOTATION, GitWriteBack
from rollouts.core import actions as a
from rollouts.core.reverts import Revert, WriteBackFacts, brings, commit_message, link_in, revert_of

SETTINGS = {"url": "https://git.example/shop.git", "path": "apps/payment", "secretRef": {"name": "git"}}
SHA = "0123456789abcdef0123456789abcdef01234567"


def settings(**more):
    return GitWriteBack.model_validate({**SETTINGS, **more})


def order(images=("shop:2",), **more):
    return a.WriteBack(settings(**more), "5ee1bf65aa", images, 1_800_000_000.0, "", "errors: canary 5 %")


@pytest.fixture
def taken_back(make_world):
    """A release that somebody aborted, in a world that writes back."""

    def make(**spec):
        world = make_world(**{"gitWriteBack": SETTINGS, **spec})
        world.do = remembering(world)
        world.written_back = []
        world.released()
        world.annotate("coalmine.dev/abort")
        world.settle()
        return world

    return make


def remembering(world):
    do = world.do

    def remember(action):
        if isinstance(action, a.WriteBack):
            world.written_back.append(action)
        else:
            do(action)

    return remember


def test_a_release_that_was_taken_back_is_reverted_in_git(taken_back):
    world = taken_back()
    assert world.phase == "RolledBack"
    wanted = world.written_back[0]
    assert set(world.written_back) == {wanted}
    assert (wanted.target, wanted.images) == (world.notes.target, ("shop:2",))
    assert wanted.branch == f"coalmine/revert-{world.notes.target}"
    assert "aborted" in wanted.reason


def test_it_is_off_by_default(taken_back):
    world = taken_back(gitWriteBack=None)
    assert world.phase == "RolledBack"
    assert world.written_back == []


def told(world, *, done, words, target=""):
    world.write_back = WriteBackFacts(target or world.notes.target, done=done, words=words)
    del world.written_back[:]
    world.settle(3)
    return [e for e in world.events.values() if e.startswith("Writ")]


def test_what_came_of_it_is_told_once_and_a_failure_is_tried_again(taken_back):
    world = taken_back()
    assert told(world, done=False, words="no such host") == ["WriteBackFailed"]
    assert world.written_back
    assert told(world, done=True, words="pushed") == ["WriteBackFailed", "WrittenBack"]
    assert world.written_back == []
    assert world.notes.write_back.words == "pushed"
    assert told(world, done=False, words="late") == ["WriteBackFailed", "WrittenBack"]


def test_another_release_is_not_told_of_an_old_result(taken_back):
    world = taken_back()
    assert told(world, done=True, words="pushed", target="another") == []


def test_nothing_is_reverted_once_git_says_something_else(taken_back):
    world = taken_back()
    del world.written_back[:]
    world.push("shop:1")
    world.wait(10)
    assert (world.phase, world.written_back) == ("Healthy", [])


@pytest.mark.parametrize(
    ("said", "commit"),
    [(SHA, SHA), (f"main@sha1:{SHA}", SHA), (SHA[:8].upper(), SHA[:8]), ("v1.2.3", ""), ("--output=x", "")],
)
def test_the_deployment_may_name_its_commit(make_world, said, commit):
    world = make_world(gitWriteBack=SETTINGS)
    world.do = remembering(world)
    world.written_back = []
    world.deployment["metadata"]["annotations"] = {COMMIT_ANNOTATION: said}
    world.released()
    world.annotate("coalmine.dev/abort")
    world.settle()
    assert world.written_back[0].commit == commit


@pytest.mark.parametrize(
    ("line", "image", "found"),
    [
        ("image: registry.example/pay:2", "registry.example/pay:2", True),
        ("    newTag: v2", "registry.example/pay:v2", True),
        ('  tag: "v2" # the new one', "registry.example/pay:v2", True),
        ("  newTag: v22", "registry.example/pay:v2", False),
        ("  digest: sha256:abc", "registry.example/pay@sha256:abc", True),
        ("  newTag: v2", "registry.example:5000/pay", False),
        ("  replicas: 2", "registry.example/pay:v2", False),
    ],
)
def test_a_commit_brings_an_image_as_a_whole_or_by_its_tag(line, image, found):
    diff = f"diff --git a/x b/x\n--- a/x\n+++ b/v2\n@@ -1 +1 @@\n-old\n+{line}\n"
    assert brings(diff, (image,)) is found


def test_a_line_that_only_moved_brings_nothing():
    assert not brings("-image: pay:2\n+image: pay:2\n", ("pay:2",))


def test_the_newest_commit_that_brings_an_image_is_reverted():
    later, bringer = Revert("c" * 40, "Scale"), Revert("b" * 40, "Version 2")
    candidates = [(later, "+replicas: 3\n"), (bringer, "+image: shop:2\n"), (Revert("a" * 40, "x"), "+image: shop:2\n")]
    assert revert_of(candidates, order()) == bringer
    assert revert_of(candidates[:1], order()) == later
    assert revert_of(candidates[:1], order(path=None)) is None
    assert revert_of([], order()) is None


def test_the_message_is_that_of_git_revert_with_the_reason():
    said = commit_message(Revert(SHA, "Payment v2"), order(), "shop/payment")
    assert said.splitlines() == [
        'Revert "Payment v2"', "", f"This reverts commit {SHA}.", "",
        "Coalmine took revision 5ee1bf65aa (shop:2) of Rollout shop/payment back: errors: canary 5 %", "",
        "Coalmine-Rollout: shop/payment", "Coalmine-Revision: 5ee1bf65aa",
    ]  # fmt: skip


def test_the_servers_offer_of_a_pull_request_is_passed_on():
    said = "remote: \nremote: Create a pull request by visiting:\nremote:   https://git.example/pull/new/x        \n"
    assert link_in(said) == "https://git.example/pull/new/x"
    assert link_in("To https://git.example/shop.git\n") == ""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "http://git.example/shop.git"),
        ("url", "https://me:secret@git.example/shop.git"),
        ("url", "ext::sh -c id"),
        ("url", "file:///etc"),
        ("url", "-u@host:x"),
        ("branch", "-f"),
        ("branch", "a b"),
        ("path", "/etc"),
        ("path", "--all"),
        ("path", ":(top)"),
        ("path", "../x"),
        ("mode", "Force"),
        ("author", {"name": "a\nb"}),
    ],
)
def test_what_git_could_take_for_something_else_is_refused(field, value):
    with pytest.raises(ValidationError, match=field):
        settings(**{field: value})


@pytest.mark.parametrize(
    "url", ["https://git.example/a.git", "ssh://git@git.example:2222/a.git", "git@git.example:a/b.git"]
)
def test_https_and_ssh_are_taken(url):
    assert json.loads(settings(url=url, path=".github/x").model_dump_json())["url"] == url
