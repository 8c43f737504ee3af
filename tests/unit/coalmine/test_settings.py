from __future__ import annotations

import json
import socket
from dataclasses import asdict

import pytest

from coalmine.local import podranges, processes
from coalmine.local.layout import ETCD, Layout
from coalmine.local.settings import Settings, choose_ports, load_settings, port_is_free, save_settings


def test_ports_are_free_and_all_different():
    ports = list(asdict(choose_ports()).values())
    assert len(set(ports)) == len(ports)
    assert all(20000 <= port < 32000 and port_is_free(port) for port in ports)


def test_a_port_in_use_is_not_free():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not port_is_free(server.getsockname()[1])


def test_settings_are_kept(tmp_path):
    layout = Layout(tmp_path)
    settings = Settings("x", "127.3.0.0/16", choose_ports())
    save_settings(layout, settings)
    assert load_settings(layout) == settings


@pytest.mark.parametrize("text", ["", "{}", '{"name": "x", "pod_cidr": "y", "ports": {"etcd": 1}}'])
def test_settings_that_make_no_sense_are_chosen_again(tmp_path, text):
    (tmp_path / "cluster.json").write_text(text)
    assert load_settings(Layout(tmp_path)) is None


@pytest.fixture
def claims(tmp_path):
    return tmp_path / "claims"


def cluster(tmp_path, name):
    layout = Layout(tmp_path / name)
    layout.root.mkdir()
    return layout


def test_clusters_get_different_ranges(tmp_path, claims):
    a, b = cluster(tmp_path, "a"), cluster(tmp_path, "b")
    assert podranges.claim(a, preferred=None, folder=claims) == "127.0.0.0/16"
    assert podranges.claim(b, preferred="127.0.0.0/16", folder=claims) == "127.1.0.0/16"


def test_a_cluster_gets_its_own_range_again(tmp_path, claims):
    a = cluster(tmp_path, "a")
    podranges.claim(a, preferred="127.9.0.0/16", folder=claims)
    assert podranges.claim(a, preferred="127.9.0.0/16", folder=claims) == "127.9.0.0/16"


def test_the_range_of_a_deleted_cluster_is_free(tmp_path, claims):
    a = cluster(tmp_path, "a")
    podranges.claim(a, preferred=None, folder=claims)
    a.root.rmdir()
    assert podranges.claim(cluster(tmp_path, "b"), preferred=None, folder=claims) == "127.0.0.0/16"


def test_a_claim_counts_as_long_as_a_process_of_the_cluster_runs(tmp_path, claims):
    a, b = cluster(tmp_path, "a"), cluster(tmp_path, "b")
    podranges.claim(a, preferred=None, folder=claims)
    path = claims / "127.0.0.0_16"
    data = json.loads(path.read_text())
    data["claimed_by"]["started"] -= 1
    path.write_text(json.dumps(data))
    etcd = processes.start(["/bin/sleep", "60"], log=a.log(ETCD), record=a.record(ETCD), env={})
    try:
        assert podranges.claim(b, preferred=None, folder=claims) == "127.1.0.0/16"
    finally:
        processes.end(etcd, grace=10)
    assert podranges.claim(cluster(tmp_path, "c"), preferred=None, folder=claims) == "127.0.0.0/16"
