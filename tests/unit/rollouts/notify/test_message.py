"""What a transition says where nobody wrote a template."""

from __future__ import annotations

from rollouts.notify.message import message_of


def test_the_standing_words_say_what_happened_why_and_with_which_evidence(transition):
    evidence = [{"words": "errors: 5 % against 0.1 %"}, {"words": "latency: p99 210 ms against 190 ms"}]
    told = transition("RollbackStarted", note="errors are worse")
    told = transition("RollbackStarted", note="errors are worse", status={**told.status, "evidence": evidence})
    message = message_of(told, link="https://c/{{ namespace }}/{{ name }}")
    assert (message.title, message.warns) == ("shop/payment: Rollback started", True)
    assert message.plain() == (
        "errors are worse\n"
        "\n"
        "Revision: 7c4f9d, stable is 5b8e21\n"
        "Images: shop/payment:v2\n"
        "Canary's share: 10 %, 9.8 % measured\n"
        "Step: 1/3\n"
        "Commit: 0a1b2c3d4e5f60718293a4b5c6d7e8f901234567\n"
        "Evidence:\n"
        "  errors: 5 % against 0.1 %\n"
        "  latency: p99 210 ms against 190 ms\n"
        "\n"
        "https://c/shop/payment\n"
    )


def test_what_is_not_known_is_left_out(transition):
    message = message_of(transition("Promoted", status={}, annotations={}))
    assert (message.facts, message.link, message.warns) == ((), "", False)


def test_what_is_no_commit_is_not_shown_as_one(transition):
    annotations = {"coalmine.dev/git-commit": "../../etc"}
    assert "Commit" not in dict(message_of(transition(annotations=annotations)).facts)
