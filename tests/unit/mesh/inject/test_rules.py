"""The rules that redirect a pod's packets."""

from __future__ import annotations

import pytest

from mesh.api.capture import CAPTURE_PREFIX, CaptureSettings, read_capture, unknown_capture
from mesh.inject.rules import init_container, restore_input

EVERYTHING = """\
*nat
:COALMINE_INBOUND - [0:0]
:COALMINE_OUTPUT - [0:0]
-A PREROUTING -p tcp -j COALMINE_INBOUND
-A OUTPUT -p tcp -j COALMINE_OUTPUT
-A COALMINE_INBOUND -p tcp --dport 15020 -j RETURN
-A COALMINE_INBOUND -p tcp --dport 15021 -j RETURN
-A COALMINE_INBOUND -p tcp --dport 15090 -j RETURN
-A COALMINE_INBOUND -p tcp -j REDIRECT --to-ports 15006
-A COALMINE_OUTPUT -s 127.0.0.6/32 -o lo -j RETURN
-A COALMINE_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m owner --uid-owner 1337 -j REDIRECT --to-ports 15006
-A COALMINE_OUTPUT -m owner --uid-owner 1337 -j RETURN
-A COALMINE_OUTPUT -o lo -j RETURN
-A COALMINE_OUTPUT -p tcp -j REDIRECT --to-ports 15001
COMMIT
"""


def rules(**annotations: str) -> list[str]:
    settings = read_capture({CAPTURE_PREFIX + name: value for name, value in annotations.items()})
    return [line for line in restore_input(settings).splitlines() if line not in EVERYTHING.splitlines()]


def test_without_annotations_everything_is_captured():
    assert restore_input(CaptureSettings()) == EVERYTHING


@pytest.mark.parametrize(
    ("annotations", "added"),
    [
        ({"excludeOutboundPorts": "5432,6379"}, ["OUTPUT -p tcp --dport 5432 -j RETURN", "--dport 6379 -j RETURN"]),
        ({"excludeInboundPorts": "9100"}, ["INBOUND -p tcp --dport 9100 -j RETURN"]),
        ({"excludeOutboundIPRanges": "169.254.169.254/32"}, ["OUTPUT -d 169.254.169.254/32 -j RETURN"]),
        ({"includeOutboundIPRanges": "10.0.0.0/8"}, ["OUTPUT -p tcp -d 10.0.0.0/8 -j REDIRECT --to-ports 15001"]),
        ({"includeOutboundIPRanges": "", "includeOutboundPorts": "80"}, ["--dport 80 -j REDIRECT --to-ports 15001"]),
        ({"includeInboundPorts": "8080"}, ["INBOUND -p tcp --dport 8080 -j REDIRECT --to-ports 15006"]),
        ({"includeInboundPorts": "", "includeOutboundIPRanges": ""}, []),
    ],
)
def test_annotations_narrow_what_is_captured(annotations, added):
    made = rules(**annotations)

    assert len(made) == len(added)
    assert all(line.endswith(end) for line, end in zip(made, added, strict=True))


def test_a_narrowed_direction_has_no_rule_for_all_the_rest():
    settings = read_capture(
        {f"{CAPTURE_PREFIX}includeInboundPorts": "8080", f"{CAPTURE_PREFIX}includeOutboundIPRanges": "10.0.0.0/8"}
    )

    assert "-A COALMINE_INBOUND -p tcp -j REDIRECT --to-ports 15006" not in restore_input(settings)
    assert "-A COALMINE_OUTPUT -p tcp -j REDIRECT --to-ports 15001" not in restore_input(settings)


def test_exclusions_come_before_what_they_are_excluded_from():
    text = restore_input(CaptureSettings(outbound_ports_excluded=(5432,), inbound_ports_excluded=(9100,)))

    assert text.index("--dport 5432 -j RETURN") < text.index("REDIRECT --to-ports 15001")
    assert text.index("--dport 9100 -j RETURN") < text.index("REDIRECT --to-ports 15006")


@pytest.mark.parametrize("wrong", ["http", "0", "65536", "80-90", "-1"])
def test_what_is_no_port_is_named(wrong):
    with pytest.raises(ValueError, match=r"metadata.annotations\[traffic.sidecar.istio.io/excludeInboundPorts\]"):
        read_capture({f"{CAPTURE_PREFIX}excludeInboundPorts": f"80,{wrong}"})


def test_an_unknown_annotation_is_found():
    known, unknown = f"{CAPTURE_PREFIX}excludeInboundPorts", f"{CAPTURE_PREFIX}kubevirtInterfaces"

    assert unknown_capture({known: "1", unknown: "eth1", "team": "shop"}) == (unknown,)


def test_which_ports_of_the_pod_are_captured():
    assert CaptureSettings().takes(80)
    assert not CaptureSettings(inbound_ports_excluded=(80,)).takes(80)
    assert not CaptureSettings(inbound_ports=(81,)).takes(80)
    assert CaptureSettings(inbound_ports=(80,)).takes(80)


def test_the_init_container_has_no_right_that_it_does_not_need():
    context = init_container(CaptureSettings(), "image", "iptables-restore")["securityContext"]

    assert context["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}
    assert not context["privileged"]
    assert not context["allowPrivilegeEscalation"]
    assert context["readOnlyRootFilesystem"]
