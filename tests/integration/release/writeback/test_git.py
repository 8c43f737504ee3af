"""Reverts made by the real git on a real git server."""

from __future__ import annotations

import pytest

from rollouts.api.writeback import GitWriteBack
from rollouts.core.reverts import WriteBack
from rollouts.engine.git import Git, GitError
from rollouts.engine.writeback import write_back

pytestmark = pytest.mark.integration

BEGAN = 1_800_000_000.0
OLD, NEW = "image: shop/payment:v1\nreplicas: 2\n", "image: shop/payment:v2\nreplicas: 2\n"
BRANCH = "coalmine/revert-5ee1bf65aa"


@pytest.fixture
def history(repository):
    """Version 1, version 2, and what came after the release began: more replicas, and a frontend."""
    repository.commit("Version 1", BEGAN - 900, payment_yaml=OLD, readme_md="x")
    repository.bringer = repository.commit("Version 2", BEGAN - 60, payment_yaml=NEW)
    repository.commit("Frontend", BEGAN - 30, frontend_yaml="image: shop/frontend:v2\n")
    repository.commit("Scale", BEGAN + 60, payment_yaml=f"{NEW}# later\n")
    return repository


@pytest.fixture
def revert(history, tmp_path):
    """Writes back; each time from an empty folder, as after a restart."""
    times = iter(range(100))

    async def revert(images=("shop/payment:v2",), commit="", secret=None, **more):
        folder = tmp_path / f"try-{next(times)}"
        folder.mkdir()
        given = {"url": history.url, "path": "apps/payment.yaml", "secretRef": {"name": "git"}, **more}
        settings = GitWriteBack.model_validate(given)
        order = WriteBack(settings, "5ee1bf65aa", tuple(images), BEGAN, commit, "errors: canary 5 %")
        git = Git(folder, settings.url, {**history.secret, **(secret or {})}, settings.author)
        return await write_back(git, order, "shop/payment")

    return revert


async def test_the_commit_that_brought_it_is_reverted_on_a_branch_for_a_pull_request_once(history, revert):
    main = history.show("main", "%H")
    said = await revert()
    assert f"pushed branch {BRANCH}" in said
    assert '("Version 2"); open a pull request' in said
    assert history.file(BRANCH, "apps/payment.yaml") == f"{OLD}# later\n"
    message = history.show(BRANCH)
    assert message.startswith('Coalmine <noreply@coalmine.dev>\nRevert "Version 2"\n')
    assert f"This reverts commit {history.bringer}." in message
    assert "Coalmine-Rollout: shop/payment" in message
    made = history.show(BRANCH, "%H")
    assert "is there already" in await revert()
    assert (history.show(BRANCH, "%H"), history.show("main", "%H")) == (made, main)


async def test_a_push_goes_to_the_branch_itself_and_is_not_made_again(history, revert):
    author = {"name": "Robot", "email": "robot@example.org"}
    assert "to main of" in await revert(mode="Push", author=author)
    assert history.file("main", "apps/payment.yaml") == f"{OLD}# later\n"
    assert history.show("main", "%an <%ae>") == "Robot <robot@example.org>"
    pushed = history.show("main", "%H")
    assert "is reverted on main already" in await revert(mode="Push")
    assert "is reverted on main already" in await revert()
    assert (history.show("main", "%H"), history.branches()) == (pushed, ["main"])


async def test_the_deployment_can_name_the_commit_and_a_merge_is_taken_back_as_a_whole(history, revert):
    history.git("checkout", "-q", "-b", "feature", "HEAD~3")
    history.git("commit", "-q", "--allow-empty", "-m", "Nothing")
    (history.clone / "apps" / "config.yaml").write_text("a: 1\n")
    history.git("add", "-A")
    history.git("commit", "-q", "-m", "Config")
    history.git("checkout", "-q", "main")
    history.git("merge", "-q", "--no-ff", "-m", "Merge feature", "feature", at=BEGAN - 10)
    history.git("push", "-q", "origin", "main")
    merge = history.git("rev-parse", "HEAD")
    assert '("Merge feature")' in await revert(commit=merge[:12], path=None)
    assert history.files(BRANCH) == ["apps/frontend.yaml", "apps/payment.yaml", "apps/readme.md"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"secret": {"password": "wrong"}}, "Authentication failed"),
        ({"secret": {"ca.crt": ""}}, "certificate"),
        ({"secret": {"password": ""}}, "the Secret has no password"),
        (
            {"url": "git@127.0.0.1:shop.git"},
            "the Secret has no identity: a ssh repository needs the keys identity and known_hosts",
        ),
        ({"branch": "release"}, "git clone: .*release"),
        ({"images": ("shop/other:v7",), "path": None}, "set spec.gitWriteBack.path"),
        ({"path": "apps/readme.md"}, "is the first one of main"),
    ],
)
async def test_what_cannot_be_done_is_said_and_changes_nothing(history, revert, settings, words):
    before = history.show("main", "%H")
    with pytest.raises(GitError, match=words):
        await revert(**settings)
    assert (history.show("main", "%H"), history.branches()) == (before, ["main"])


async def test_a_conflict_is_left_to_people(history, revert):
    history.commit("Version 3", BEGAN + 90, payment_yaml="image: shop/payment:v3\n")
    with pytest.raises(GitError, match=r"Version 2.* cannot be reverted by itself .* revert it by hand"):
        await revert()
    assert history.branches() == ["main"]


async def test_a_revert_by_hand_with_other_words_counts_too(history, revert):
    history.commit("Back to version 1", BEGAN + 90, payment_yaml=f"{OLD}# later\n")
    assert "undone on main already" in await revert()
    assert history.branches() == ["main"]
