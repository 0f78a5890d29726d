"""broker_gateway: the only process that can send an order; holds the order connection to TWS.

hears Session, StopHit; says BrokerLink, AccountSnapshot, BrokerPnl, OrderBook, OrderUpdate, Fill,
Commission, MarginPreview, HaltLatch, BrokerNotice; answers SubmitOrder, CancelOrder,
PreviewMargin, Halt, Resume, Unlock.
owns: what was sent, the broker's books, the halt latch.
if it dies: nothing can leave; orders at IB live on; it comes back, compares, and only then sends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import service
from common.core import outbox

if TYPE_CHECKING:
    from common.tws.gateway_edge import GatewayEdge


def edge() -> type[GatewayEdge]:
    """Imported once the event loop stands: the client library binds to the loop."""
    from common.tws.gateway_edge import GatewayEdge  # noqa: PLC0415  (see the docstring)

    return GatewayEdge


if __name__ == "__main__":
    service.main("broker_gateway", outbox, edge=edge)
