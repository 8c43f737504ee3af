"""The exchange of a root, step by step, and what the Secret holds meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from mesh.ca.certificates import pem_of
from mesh.ca.roots import ROOT_LIFE, Held, SecretError, dump, first, load, next_step

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOLD = timedelta(minutes=3)
LEAF = timedelta(hours=24)
ALL, NONE = Held(trust=True, leaves=True), Held(trust=False, leaves=False)


def step(roots, held=ALL, *, after=HOLD, wanted=False):
    return next_step(roots, held, roots.since + after, wanted=wanted, hold=HOLD, leaf_life=LEAF)


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
