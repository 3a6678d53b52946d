"""From settings to running parts: the one file that builds them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from ironcage.reach import build_store, ca_folder
from ironcage.settings import Loaded, address
from policies.building import build_rules
from policies.engine import Engine
from policies.memory_ledger import MemoryLedger
from policies.redaction.detect import build_detector
from policies.redaction.key import load_or_create_key
from policies.redaction.pseudonyms import Pseudonyms
from proxy.approval_desk import Desk
from proxy.environment import UpstreamAddress, vendor_of
from proxy.gateway import Gateway
from proxy.gateway_admission import Admission
from proxy.hall import Hall
from proxy.headers import key_header
from proxy.intercept.door import InterceptDoor
from proxy.redactor import Redactor
from proxy.routing import Router
from proxy.settings import Upstream
from proxy.upstream import UpstreamClient, ca_context
from trajectory.clock import SYSTEM_CLOCK, seeded_entropy
from trajectory.errors import OperatorError
from trajectory.recorder import Recorder
from trajectory.store import Store

# How long an exchange that is not alone may wait to be written down together with others: less than a model needs
# for a token, and it halves what recording costs under load (docs/benchmarks.md).
_COMPANY_S = 0.003


def build_redactor(loaded: Loaded) -> Redactor | None:
    """None where redaction is off; then nothing of it is loaded either."""
    redaction = loaded.settings.policies.redaction
    if redaction is None:
        return None
    if redaction.known_values_file is not None:
        redaction = redaction.model_copy(update={"known_values_file": loaded.path(str(redaction.known_values_file))})
    key = load_or_create_key(loaded.path(loaded.settings.state_dir) / "pseudonyms.key")
    return Redactor(
        build_detector(redaction),
        Pseudonyms(key),
        restores=redaction.restore,
        never_restored=redaction.never_restore,
        refused=redaction.refuse,
    )


def build_hall(loaded: Loaded, *, default_upstream: str | None = None) -> Hall:
    settings = loaded.settings
    for upstream in settings.upstreams.values():
        if upstream.ca_file is not None:
            ca_context(str(loaded.path(upstream.ca_file)))  # a file that cannot be used is said now, not at night
    hosts = [upstream.host for upstream in settings.upstreams.values()]
    rules = build_rules(loaded.constraints, settings.policies, hosts)
    upstreams = {name: _with_paths(upstream, loaded) for name, upstream in settings.upstreams.items()}
    return Hall(
        router=Router(upstreams, default=default_upstream),
        engine=Engine(rules, MemoryLedger()),
        clock=SYSTEM_CLOCK,
        entropy=seeded_entropy(int.from_bytes(os.urandom(16))),  # ids must be unique, not secret; cheap matters
        redactor=build_redactor(loaded),
        max_body_bytes=settings.max_body_bytes,
    )


def _keys(upstreams: Mapping[str, Upstream]) -> dict[str, tuple[str, str]]:
    keys: dict[str, tuple[str, str]] = {}
    for name, upstream in upstreams.items():
        if upstream.api_key_env is not None:
            key = os.environ.get(upstream.api_key_env)
            if not key:
                raise OperatorError(
                    f"upstreams.{name}.api_key_env: {upstream.api_key_env} is not set",
                    hint="export it, or remove the setting",
                )
            keys[name] = key_header(key, vendor_of(name, _address(upstream)))
    return keys


def _address(upstream: Upstream) -> UpstreamAddress:
    return UpstreamAddress(upstream.base_url, upstream.kind, upstream.wire)


def _with_paths(upstream: Upstream, loaded: Loaded) -> Upstream:
    if upstream.ca_file is None:
        return upstream
    return upstream.model_copy(update={"ca_file": str(loaded.path(upstream.ca_file))})


@dataclass(slots=True, eq=False)
class Doors:
    """A gateway that listens; `forward_port` is None where the proxy door is closed."""

    loaded: Loaded
    store: Store
    hall: Hall
    recorder: Recorder
    client: UpstreamClient
    gateway: Gateway
    host: str = "127.0.0.1"
    port: int = 0
    forward_host: str = "127.0.0.1"
    forward_port: int | None = None
    door: InterceptDoor | None = None
    desk: Desk | None = None
    """Where calls wait for a person; None where none does."""

    @property
    def data_url(self) -> str:
        return f"http://{_reachable(self.host)}:{self.port}"

    @property
    def proxy_url(self) -> str | None:
        return f"http://{_reachable(self.forward_host)}:{self.forward_port}" if self.forward_port else None

    async def __aenter__(self) -> Doors:
        settings = self.loaded.settings
        self.recorder.start()
        await self.client.__aenter__()
        try:
            host, port = address(settings.listen, "listen")
            self.host, self.port = host, await self.gateway.listen(host, port)
            self.hall.own_addresses = frozenset({(_reachable(host), self.port), ("localhost", self.port)})
            if settings.forward_listen is not None:
                await self._open_forward(*address(settings.forward_listen, "forward_listen"))
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def drain(self, at_most_s: float) -> None:
        """Take no new exchanges, and let those under way end: when this returns they have, or the time is over."""
        if self.door is not None:
            self.door.stop_listening()
        await self.gateway.drain(at_most_s)

    async def __aexit__(self, *_: object) -> None:
        if self.door is not None:
            await self.door.stop()
        await self.gateway.close()
        await self.client.__aexit__(None, None, None)
        await self.recorder.close()
        self.store.close()

    async def _open_forward(self, host: str, port: int) -> None:
        inner = await self.gateway.listen("127.0.0.1", 0, door="proxy")
        self.door = InterceptDoor()
        self.forward_host = host
        self.forward_port = await self.door.start(
            host,
            port,
            gateway_host="127.0.0.1",
            gateway_port=inner,
            hop_secret=self.gateway.hop_secret,
            confdir=ca_folder(self.loaded),
            access_token=self.loaded.settings.access_token,
        )


def open_doors(
    loaded: Loaded, *, store: Store | None = None, default_upstream: str | None = None, attended: bool = False
) -> Doors:
    """Everything built, nothing listening yet: `async with` the result to open the doors.

    `attended`: people may sit at a desk. Elsewhere a call that waits for one is refused, but where its session has an
    approver of its own.
    """
    settings = loaded.settings
    hall = build_hall(loaded, default_upstream=default_upstream)
    store = store or build_store(loaded)
    client = UpstreamClient()
    recorder = Recorder(store, max_delay_s=_COMPANY_S, company=lambda: gateway.busy())  # noqa: PLW0108 - made below
    gateway = Gateway(
        hall,
        recorder,
        client,
        max_body_bytes=settings.max_body_bytes,
        admission=Admission(settings.access_token),
        hop_secret=secrets.token_hex(16),
        keys=_keys(settings.upstreams),
    )
    desk = hall.approver = Desk() if attended and settings.policies.approvals is not None else None
    return Doors(loaded, store, hall, recorder, client, gateway, desk=desk)


def _reachable(host: str) -> str:
    """The address under which a listener on `host` is reached from this machine."""
    if host in ("0.0.0.0", ""):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
