"""The exchange of a root, step by step, and what the Secret holds meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from mesh.ca.certificates import Pair, make_intermediate, make_root, pem_of
from mesh.ca.roots import ROOT_LIFE, Held, SecretError, dump, first, load, next_step

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOLD = timedelta(minutes=3)
LEAF = timedelta(hours=24)
ALL, NONE = Held(trust=True, leaves=True), Held(trust=False, leaves=False)


def step(roots, held=ALL, *, after=HOLD, wanted=False, plugged=None):
    return next_step(roots, held, roots.since + after, wanted=wanted, hold=HOLD, leaf_life=LEAF, plugged=plugged)


def trusted(roots) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(roots.trusted)


def test_nothing_happens_while_nobody_asks():
    roots = first(NOW)
    assert step(roots) is roots
    assert trusted(roots) == [roots.active.certificate]


def test_a_new_root_is_trusted_before_it_signs_and_the_old_one_after():
    start = first(NOW)
    adding = step(start, wanted=True)
    assert (adding.phase, adding.active) == ("adding", start.active)
    assert trusted(adding) == [start.active.certificate, adding.next.certificate]
    dropping = step(adding)
    assert (dropping.phase, dropping.active) == ("dropping", adding.next)
    assert trusted(dropping) == [adding.next.certificate, start.active.certificate]
    done = step(dropping)
    assert (done.phase, trusted(done)) == ("steady", [adding.next.certificate])


@pytest.mark.parametrize("held", [NONE, Held(trust=False, leaves=True)])
def test_it_does_not_sign_until_every_proxy_trusts_it(held):
    adding = step(first(NOW), wanted=True)
    assert step(adding, held, after=LEAF - HOLD) is adding


@pytest.mark.parametrize("held", [NONE, Held(trust=True, leaves=False)])
def test_the_old_one_is_not_dropped_while_a_proxy_has_a_certificate_of_it(held):
    dropping = step(step(first(NOW), wanted=True))
    assert step(dropping, held, after=LEAF - HOLD) is dropping


def test_a_proxy_that_is_out_of_reach_holds_it_up_no_longer_than_its_certificate_lives():
    adding = step(first(NOW), wanted=True)
    dropping = step(adding, NONE, after=LEAF)
    assert dropping.phase == "dropping"
    assert step(dropping, NONE, after=LEAF).phase == "steady"


def test_each_step_lasts_until_files_are_refreshed():
    adding = step(first(NOW), wanted=True)
    assert step(adding, after=HOLD / 2) is adding
    dropping = step(adding)
    assert step(dropping, after=HOLD / 2) is dropping


def test_one_that_nears_its_end_is_exchanged_by_itself():
    roots = first(NOW)
    assert step(roots, after=ROOT_LIFE * 0.89) is roots
    assert step(roots, after=ROOT_LIFE * 0.91).phase == "adding"


def test_asking_twice_meanwhile_changes_nothing():
    adding = step(first(NOW), wanted=True)
    assert step(adding, NONE, wanted=True) is adding


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_a_control_plane_that_is_restarted_goes_on_where_it_was(steps):
    roots = first(NOW)
    for _ in range(steps):
        roots = step(roots, wanted=True)
    again = load(dump(roots))
    assert (again.phase, again.since, again.trusted) == (roots.phase, roots.since, roots.trusted)
    assert again.active.certificate == roots.active.certificate
    assert dump(again) == dump(roots)


def test_the_old_roots_key_is_not_kept():
    adding = step(first(NOW), wanted=True)
    old = adding.active
    data = dump(step(adding))
    assert data["old-cert.pem"] == pem_of(old.certificate)
    assert old.key_pem not in data.values()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"root-cert.pem": None, "root-key.pem": None}, "root-cert.pem and root-key.pem are missing"),
        ({"root-key.pem": None}, "only one is there"),
        ({"root-cert.pem": b"x"}, "root-cert.pem, root-key.pem"),
        ({"since": b"yesterday"}, "since"),
        ({"old-cert.pem": b"x"}, "old-cert.pem"),
    ],
)
def test_a_secret_that_somebody_has_spoilt_names_the_key(change, text):
    data = {**dump(first(NOW)), **change}
    with pytest.raises(SecretError, match=text):
        load({key: value for key, value in data.items() if value is not None})


def plug(root, days=30):
    """Return an issuing certificate that somebody made under a root."""
    made = make_intermediate(root, NOW, timedelta(days=days))
    return Pair(made.certificate, made.key, (), (root.certificate,))


OTHER, THIRD = make_root(NOW, ROOT_LIFE), make_root(NOW, ROOT_LIFE)


def test_what_is_plugged_in_signs_when_its_root_is_trusted_everywhere():
    start, theirs = first(NOW), plug(OTHER)
    adding = step(start, plugged=theirs)
    assert (adding.phase, adding.active, adding.next) == ("adding", start.active, theirs)
    assert trusted(adding) == [start.active.certificate, OTHER.certificate]
    assert step(adding, NONE, plugged=theirs) is adding
    dropping = step(adding, plugged=theirs)
    assert (dropping.active, trusted(dropping)) == (theirs, [OTHER.certificate, start.active.certificate])
    done = step(dropping, plugged=theirs)
    assert (done.phase, trusted(done)) == ("steady", [OTHER.certificate])
    assert step(done, plugged=theirs) is done


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_renewed_one_of_the_same_root_takes_its_place_at_once(steps):
    roots, renewed = first(NOW), plug(OTHER)
    for _ in range(1 + steps):
        roots = step(roots, plugged=renewed)
    newer = plug(OTHER)
    after = step(roots, NONE, after=timedelta(0), plugged=newer)
    assert newer in {after.active, after.next}
    assert (after.phase, after.trusted, after.since) == (roots.phase, roots.trusted, roots.since)


def test_one_of_another_root_takes_the_same_three_steps():
    roots = first(NOW, plug(OTHER))
    new = plug(THIRD)
    phases = []
    for _ in range(3):
        roots = step(roots, plugged=new)
        phases.append((roots.phase, [c in trusted(roots) for c in (OTHER.certificate, THIRD.certificate)]))
    assert phases == [("adding", [True, True]), ("dropping", [True, True]), ("steady", [False, True])]
    assert roots.active == new


def test_one_that_is_taken_back_before_it_signs_leaves_nothing():
    theirs = plug(OTHER)
    adding = step(first(NOW, theirs), plugged=plug(THIRD))
    back = step(adding, NONE, plugged=theirs)
    assert (back.phase, back.active, trusted(back)) == ("steady", theirs, [OTHER.certificate])


def test_a_third_root_waits_until_the_first_is_dropped():
    theirs = plug(OTHER)
    dropping = step(step(first(NOW), plugged=theirs), plugged=theirs)
    third = plug(THIRD)
    assert step(dropping, NONE, plugged=third) is dropping
    assert step(step(dropping, plugged=third), plugged=third).next == third


def test_nobody_waits_for_an_issuer_that_has_ended():
    ended = first(NOW, plug(OTHER, days=1))
    adding = step(ended, NONE, plugged=plug(THIRD))
    after = next_step(adding, NONE, NOW + timedelta(days=1), wanted=False, hold=HOLD, leaf_life=LEAF)
    assert after.phase == "dropping"


def test_a_person_s_wish_for_a_root_is_not_heard_while_one_is_plugged_in():
    roots = first(NOW, plug(OTHER))
    assert step(roots, wanted=True, plugged=roots.active) is roots
    assert step(roots, wanted=True).next.anchors == ()


def test_what_was_taken_away_signs_until_shortly_before_its_end():
    roots = first(NOW, plug(OTHER))
    assert step(roots, after=timedelta(days=27)) is roots
    assert step(roots, after=timedelta(days=29)).phase == "adding"


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_restart_goes_on_with_what_is_plugged_in(steps):
    roots, theirs = first(NOW, plug(THIRD)), plug(OTHER)
    for _ in range(steps):
        roots = step(roots, plugged=theirs)
    again = load(dump(roots))
    assert dump(again) == dump(roots)
    assert (again.phase, again.trusted, again.active.roots) == (roots.phase, roots.trusted, roots.active.roots)
