"""Flower's table of nodes, which follows our roster: who is not in it now is let in no more, whatever Flower remembers.

logins(): site -> public login key (PEM)  --sync-->  key <-> site <-> node
"""

import threading
from collections.abc import Callable, Mapping

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from flwr.common.constant import NOOP_ACCOUNT_NAME, NOOP_FLWR_AID
from flwr.server.superlink.linkstate import LinkState
from flwr.supercore.constant import NodeStatus
from flwr.supercore.primitives.asymmetric import public_key_to_bytes

from wardround.values.errors import EngineError
from wardround.values.ids import SiteId

HEARTBEAT_S = 10.0
Logins = Callable[[], Mapping[SiteId, bytes]]


class NodeTable:
    """Sites and their nodes. logins: the confirmed sites at this moment; asked at each request, so it has to be quick."""

    def __init__(self, state: LinkState, logins: Logins) -> None:
        self._state, self._logins = state, logins
        self._lock = threading.Lock()
        self._before: Mapping[SiteId, bytes] = {}
        self._nodes: dict[SiteId, int] = {}
        self._sites: dict[bytes, SiteId] = {}

    def site_of(self, key: bytes) -> SiteId | None:
        """Whose login key this is (PEM); None for nobody's in the roster."""
        self._sync()
        return self._sites.get(key)

    def node_of(self, site: SiteId) -> int | None:
        """None for a site that is not in the roster."""
        self._sync()
        return self._nodes.get(site)

    def online(self, site: SiteId) -> bool:
        """Whether the site is in the roster, has logged in, and its heart beats."""
        node = self.node_of(site)
        return node is not None and bool(self._state.get_node_info(node_ids=[node], statuses=[NodeStatus.ONLINE]))

    def _sync(self) -> None:
        logins = self._logins()
        if logins == self._before:
            return
        with self._lock:
            nodes = {site: self._node(_as_flower_writes(site, key)) for site, key in logins.items()}
            self._sites = {_as_flower_writes(site, key): site for site, key in logins.items()}
            for node in set(self._nodes.values()) - set(nodes.values()):
                self._state.deactivate_node(node)
            self._nodes, self._before = nodes, dict(logins)

    def _node(self, key: bytes) -> int:
        node: int | None = self._state.get_node_id_by_public_key(key)
        if node is None:
            node = self._state.create_node(NOOP_FLWR_AID, NOOP_ACCOUNT_NAME, key, HEARTBEAT_S)
        return node


def _as_flower_writes(site: SiteId, pem: bytes) -> bytes:
    try:
        key = load_pem_public_key(pem)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise ValueError("a key of another kind")
    except (ValueError, UnsupportedAlgorithm) as error:
        raise EngineError(f"The login key of {site} in the roster is no EC key", hint="invite the site anew") from error
    written: bytes = public_key_to_bytes(key)
    return written
