"""Who has which certificate, as people may ask for it: ``/v1/certificates``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web
from cryptography import x509

from mesh.api.debug import Certificate, Certificates, WorkloadCertificate
from mesh.xds.resources import SDS
from mesh.xds.tls import LEAF

if TYPE_CHECKING:
    from mesh.ads.server import AdsServer
    from mesh.ads.session import Session
    from mesh.api.debug import SyncStatus
    from mesh.wiring.identity import IdentityKeeper

__all__ = ["add_certificates", "certificates"]


def add_certificates(app: web.Application, keeper: IdentityKeeper, ads: AdsServer) -> None:
    """Add the page.

    Args:
        app: The application.
        keeper: Knows the certificates.
        ads: Knows what proxies hold.
    """

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(text=certificates(keeper, ads).model_dump_json(by_alias=True))

    app.router.add_get("/v1/certificates", answer)


def certificates(keeper: IdentityKeeper, ads: AdsServer) -> Certificates:
    """Return who has which certificate."""
    authority = keeper.authority
    roots = authority.roots
    found = []
    for proxy, leaf in sorted(authority.issued.items()):
        namespace, _, pod = proxy.partition("/")
        chain = x509.load_pem_x509_certificates(leaf.chain)
        named = [r for r in roots.certificates if chain[-1].issuer == r.subject]
        found.append(
            WorkloadCertificate(
                **_certificate(chain[0]).model_dump(),
                namespace=namespace,
                pod=pod,
                root=named[0].subject.rfc4514_string() if named else "",
                status=_status(ads.session(proxy), keeper.version(proxy)),
            )
        )
    return Certificates(
        source=keeper.source,
        phase=roots.phase,
        problem="; ".join(problem.message for problem in keeper.problems),
        issuer=_certificate(authority.issuer.certificate),
        roots=tuple(map(_certificate, roots.certificates)),
        workloads=tuple(found),
    )


def _status(session: Session | None, version: str) -> SyncStatus:
    if session is None:
        return "NOT SENT"
    return "SYNCED" if session.holds(SDS).get(LEAF) == version else "STALE"


def _certificate(certificate: x509.Certificate) -> Certificate:
    subject = certificate.subject.rfc4514_string()
    if not subject:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        subject = ", ".join(names.get_values_for_type(x509.UniformResourceIdentifier))
    return Certificate(
        subject=subject,
        issuer=certificate.issuer.rfc4514_string(),
        serial=f"{certificate.serial_number:x}",
        not_after=f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
    )
