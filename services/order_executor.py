"""order_executor: brings an order about and follows its life until it is done.

hears   OrderUpdate, Fill, BrokerLink, Session
says    OrderState
asks    SubmitOrder, CancelOrder of broker_gateway
answers PlaceOrder
owns    the life of each order of the session
if it dies: its journal brings it back; an exit that it does not acknowledge within a second goes
        from the risk monitor straight to the gateway under the same key.
"""

from common import service
from common.core import orders

if __name__ == "__main__":
    service.main("order_executor", orders)
