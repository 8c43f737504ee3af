"""The gRPC side of discovery: one delta stream for each proxy, and the server that telemetry shares."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

from mesh.ads.gate import Gate
from mesh.ads.messages import build_of, decode, encode
from mesh.ads.session import Session
from mesh.proxy.callers import RefusedError, bearer_token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mesh.ads.gate import Refusal
    from mesh.ads.messages import Response
    from mesh.proxy.callers import Authenticate
    from mesh.xds.resources import Snapshot

__all__ = ["AdsServer", "proxy_of"]

log = logging.getLogger(__name__)

_SERVICE: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_METHOD: Final = "DeltaAggregatedResources"
_OPTIONS: Final = (
    # Two control planes on one port would each get half of the proxies.
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 30_000),
    # A proxy shows its token when a stream begins: so that it does so again now and then. It keeps what it holds.
    ("grpc.max_connection_age_ms", 30 * 60_000),
    ("grpc.max_connection_age_grace_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
)
_TICK: Final = 1.0
_AT_ONCE: Final = 16
"""Proxies that are offered something before what they are sent goes out: the first answers come meanwhile."""


def proxy_of(node_id: str) -> str | None:
    """Return ``namespace/pod`` of a node id ``sidecar~<address>~<pod>.<namespace>``; None for an id of another form.

    A gateway says ``router`` in place of ``sidecar``.
    """
    name = node_id.rpartition("~")[2]
    pod, dot, namespace = name.rpartition(".")
    return f"{namespace}/{pod}" if dot and pod and namespace else None


class _Stream:
    """A session with its way out."""

    def __init__(self) -> None:
        self.session = Session()
        self.proxy = ""
        self.build = ""
        self.outbox: asyncio.Queue[Response | Exception | None] = asyncio.Queue()

    def send(self, responses: list[Response]) -> None:
        for response in responses:
            self.outbox.put_nowait(response)

    def fail(self, error: Exception) -> None:
        self.outbox.put_nowait(error)


class AdsServer:
    """Serves each proxy what the source has for it.

    Args:
        source: Returns what a proxy (``namespace/pod``) should hold; None while that is not known. What it raises ends
            the proxy's streams; it keeps what it holds and comes again.
        clock: Monotonic seconds.
        changed: Called in the event loop when a proxy has come, gone, acknowledged or refused.
        authenticate: Checks that a stream is its proxy's; None takes everybody's word, which only tests do.
        refused: Called with what proxies have newly refused.

    Attributes:
        gate: Decides who is offered what the source has.
    """

    def __init__(
        self,
        source: Callable[[str], Snapshot | None],
        *,
        clock: Callable[[], float],
        changed: Callable[[], None] = lambda: None,
        authenticate: Authenticate | None = None,
        refused: Callable[[list[Refusal]], None] = lambda _: None,
    ) -> None:
        self.gate: Final = Gate()
        self.grpc: Final = grpc.aio.server(options=_OPTIONS)
        self._source = source
        self._clock = clock
        self._changed = changed
        self._authenticate = authenticate
        self._refused = refused
        self._streams: dict[str, list[_Stream]] = {}
        self._todo: deque[_Stream] = deque()
        self._ticker: asyncio.Task[None] | None = None
        handler = grpc.stream_stream_rpc_method_handler(self._serve)
        self.grpc.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {_METHOD: handler}),))

    async def start(self, address: str, credentials: Any = None) -> int:
        """Listen on ``host:port`` (port 0 takes a free one); return the port.

        Args:
            address: Where.
            credentials: gRPC's server credentials; None serves without TLS.

        Raises:
            RuntimeError: The address cannot be listened on.
        """
        port: int = (
            self.grpc.add_insecure_port(address)
            if credentials is None
            else self.grpc.add_secure_port(address, credentials)
        )
        await self.grpc.start()
        self._ticker = asyncio.create_task(self._tick())
        return port

    async def stop(self) -> None:
        """End all streams and stop listening; the proxies keep what they hold."""
        if self._ticker:
            self._ticker.cancel()
        await self.grpc.stop(grace=None)

    def publish(self) -> None:
        """Offer every connected proxy what the source has now; proxies that it has nothing for keep what they hold."""
        self.gate.begin(self._clock())
        going_on = bool(self._todo)
        self._todo = deque(stream for streams in self._streams.values() for stream in streams)
        if not going_on:
            self._publish_some()

    def _publish_some(self) -> None:
        some = [self._todo.popleft() for _ in range(min(_AT_ONCE, len(self._todo)))]
        if self._todo:  # asked for first: whatever goes wrong with some, the others get theirs
            asyncio.get_running_loop().call_soon(self._publish_some)
        for stream in some:
            if stream in self._streams.get(stream.proxy, ()):
                self._offer(stream)
        self._offer_waiting()
        if not self._todo:
            self._changed()

    def session(self, proxy: str) -> Session | None:
        """Return the session of the proxy's newest stream."""
        streams = self._streams.get(proxy)
        return streams[-1].session if streams else None

    def build(self, proxy: str) -> str:
        """Return the version of the proxy's Envoy; empty where it is not connected."""
        streams = self._streams.get(proxy)
        return streams[-1].build if streams else ""

    @property
    def connected(self) -> frozenset[str]:
        """The proxies that have a stream."""
        return frozenset(self._streams)

    async def _serve(self, requests: AsyncIterator[bytes], context: Any) -> None:
        stream = _Stream()
        token = bearer_token(dict(context.invocation_metadata()))
        reader = asyncio.create_task(self._read(stream, requests, token))
        try:
            while True:
                item = await stream.outbox.get()
                if item is None:
                    return
                if isinstance(item, RefusedError):
                    code = grpc.StatusCode.PERMISSION_DENIED if item.known else grpc.StatusCode.UNAUTHENTICATED
                    await context.abort(code, f"coalmine: {item}")
                elif isinstance(item, Exception):
                    await context.abort(grpc.StatusCode.INTERNAL, f"coalmine: {item}")
                else:
                    await context.write(encode(item))
        finally:
            reader.cancel()
            self._leave(stream)

    async def _read(self, stream: _Stream, requests: AsyncIterator[bytes], token: str) -> None:
        """Feed the session; whatever goes wrong ends the stream, since a silent one would hang the proxy."""
        try:
            async for wire in requests:
                request, node_id = decode(wire)
                if not stream.proxy:
                    stream.build = build_of(wire)
                    await self._join(stream, node_id, token)
                if request.error is not None:
                    log.warning("%s refused %s: %s", stream.proxy, request.type_url, request.error)
                stream.send(stream.session.receive(request, self._clock()))
                self._learn(stream)
                if request.nonce:
                    self._changed()
        except RefusedError as error:
            log.warning("refused a stream: %s", error)
            stream.fail(error)
        except Exception as error:
            log.warning("stream of %s ends: %s", stream.proxy or "an unknown proxy", error, exc_info=True)
            stream.fail(error)
        else:
            stream.outbox.put_nowait(None)

    async def _join(self, stream: _Stream, node_id: str, token: str) -> None:
        proxy = proxy_of(node_id)
        if proxy is None:
            raise ValueError(f"node id {node_id!r} is not sidecar~<address>~<pod>.<namespace>")
        if self._authenticate is not None:
            await self._authenticate(token, proxy)
        stream.proxy = proxy
        self._streams.setdefault(proxy, []).append(stream)
        log.info("%s connected", proxy)
        self._offer(stream)
        self._changed()

    def _leave(self, stream: _Stream) -> None:
        streams = self._streams.get(stream.proxy, [])
        if stream in streams:
            streams.remove(stream)
            log.info("%s disconnected", stream.proxy)
        if not streams and self._streams.pop(stream.proxy, None) is not None:
            self.gate.leave(stream.proxy)
            self._offer_waiting()
        self._changed()

    def _learn(self, stream: _Stream) -> None:
        """Let the gate know what a proxy has said; whom it lets pass now is offered what it waits for."""
        if stream.session is not self.session(stream.proxy):
            return
        again = self.gate.learn(stream.proxy, stream.session)
        if news := self.gate.news():
            self._refused(news)
        if again:
            self._offer(stream, known=True)
        self._offer_waiting()

    def _offer_waiting(self) -> None:
        while self.gate.unlocked():
            for proxy in self.gate.waiting:
                for stream in list(self._streams.get(proxy, ())):
                    self._offer(stream, known=True)

    def _offer(self, stream: _Stream, *, known: bool = False) -> None:
        """Send what the gate lets pass of what the source has, or of what it had last."""
        try:
            desired = self.gate.desired(stream.proxy) if known else self._source(stream.proxy)
            if desired is None:
                return
            now = self._clock()
            if (snapshot := self.gate.offer(stream.proxy, desired, stream.session, now)) is not None:
                stream.send(stream.session.offer(snapshot, now))
        except Exception as error:
            log.exception("configuration of %s cannot be made", stream.proxy)
            stream.fail(error)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            self.gate.tick(self._clock())
            self._offer_waiting()
            for streams in list(self._streams.values()):
                for stream in streams:
                    stream.send(stream.session.tick(self._clock()))
