"""TWS's message codes: what each one means for us, in plain words, and what mends it.

One table. A code that is not here is shown as unknown with TWS's own text; nobody guesses. `kind`:

notice  for information; an order it names lives on
reject  what we asked for is refused; of an order that TWS had acknowledged it proves nothing
link    the connection between us, TWS and IB
data    market data

Sources: IB's list of message codes, and the texts seen by users of the client libraries
(docs/assumptions.md). Not one of them was provoked on a real TWS by this project.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["notice", "reject", "link", "data", "unknown"]


class Code(NamedTuple):
    """`compare`: an order is not as we think, so the broker's books are looked at again."""

    kind: Kind
    text: str
    mend: str = ""
    compare: bool = False


LINK_LOST = 1100
LINK_BACK_DATA_LOST = 1101
LINK_BACK = 1102
LINK_AWAY = 2110
FARMS_BACK = frozenset({2104, 2106, 2158})
CLIENT_ID_TAKEN = 326
HISTORY_REFUSED = 162
NO_DEFINITION = 200
DUPLICATE_ORDER_ID = 103
GROUP_REVISION = 10326
ACCOUNT_UNSUBSCRIBED = 2100
INVALID_REQUEST = 321
MARGIN_REJECT = 201
CANCELLED = 202

CODES: dict[int, Code] = {
    # orders
    100: Code("link", "too many messages a second", "lower broker.requests_per_s_max"),
    103: Code("notice", "the order id was used before", compare=True),
    104: Code("notice", "the order was filled already", compare=True),
    105: Code("notice", "an order of that id with other terms exists", compare=True),
    106: Code("reject", "the order cannot be transmitted", "look at TWS's own message"),
    107: Code("reject", "the order is incomplete", "report it: a fault of this program"),
    109: Code("reject", "the price is outside the range TWS accepts", "check the limit price"),
    110: Code("reject", "the price is off the tick grid", "report it: a fault of this program"),
    111: Code("reject", "the time in force does not fit the order type"),
    113: Code("reject", "the time in force is not supported here"),
    116: Code("reject", "the order was cancelled before it was transmitted"),
    125: Code("reject", "the market price is not available to check the order"),
    133: Code("reject", "the order failed to reach IB", "TWS is not logged in to IB"),
    135: Code("notice", "TWS knows no order of that id", compare=True),
    136: Code("notice", "the order can no longer be cancelled", compare=True),
    140: Code("reject", "the size is not a whole number", "report it: a fault of this program"),
    141: Code("reject", "the price is not a number", "report it: a fault of this program"),
    144: Code("reject", "the size limit of TWS's order presets refuses the order",
              "Global Configuration, Presets: raise the size limit"),
    151: Code("reject", "the order was refused by TWS's own checks"),
    152: Code("reject", "the order was refused by TWS's own checks"),
    161: Code("notice", "the order is in no state to be cancelled", compare=True),
    163: Code("reject", "the price is too far from the market for TWS's presets",
              "Global Configuration, Presets: percentage limit"),
    201: Code("reject", "IB refused the order"),
    202: Code("notice", "the order is cancelled"),
    203: Code("reject", "the instrument may not be traded in this account",
              "trading permissions in Client Portal; in the EU and UK SMH may lack a KID"),
    321: Code("reject", "TWS finds the request invalid"),
    382: Code("reject", "the price would violate TWS's percentage limit",
              "Global Configuration, Presets: percentage limit"),
    383: Code("reject", "the size would violate TWS's size limit",
              "Global Configuration, Presets: size limit"),
    387: Code("reject", "the order type is not supported for this instrument"),
    388: Code("reject", "the order is smaller than the least size"),
    399: Code("notice", "TWS has a remark on the order"),
    404: Code("notice", "shares to sell short are being located"),
    434: Code("reject", "the order size is zero", "report it: a fault of this program"),
    435: Code("reject", "no account was named", "set account.id"),
    436: Code("reject", "no account was named", "set account.id"),
    460: Code("reject", "no trading permission", "trading permissions in Client Portal"),
    481: Code("notice", "TWS changed the order's size", compare=True),
    492: Code("notice", "TWS has a remark on the order's price"),
    2102: Code("notice", "the order is still being processed and was not changed", compare=True),
    2109: Code("notice", "outside regular hours is ignored for this order"),
    2113: Code("notice", "the order's size was rounded"),
    10052: Code("reject", "the time in force is not valid", "report it: a fault of this program"),
    10147: Code("notice", "TWS finds no such order to cancel", compare=True),
    10148: Code("notice", "the order cannot be cancelled any more", compare=True),
    10224: Code("reject", "orders of one group must be of one account",
                "report it; an exit is sent again without its group"),
    10243: Code("reject", "fractional shares cannot be ordered"),
    10268: Code("reject", "an order attribute is no longer supported",
                "report it: a fault of this program"),
    10289: Code("reject", "currency conversion is needed first"),
    10311: Code("reject", "direct routing needs a precaution switched off",
                "API, Precautions: bypass the redirect order warning"),
    10318: Code("reject", "this order size is not allowed"),
    10326: Code("notice", "an order in a group is not changed", compare=True),
    10349: Code("notice", "TWS set the time in force from its order preset"),
    # requests
    162: Code("data", "the historical data service refused"),
    200: Code("reject", "no such instrument, or several",
              "check strategy.symbol and strategy.primary_exchange"),
    300: Code("notice", "a subscription to cancel was not found"),
    322: Code("reject", "TWS could not process the request"),
    326: Code("link", "the client id is in use", "close the other program, or set another "
              "broker.orders_client_id or broker.data_client_id"),
    366: Code("notice", "a historical request to cancel was not found"),
    502: Code("link", "no connection to TWS", "start TWS, enable its API socket"),
    504: Code("link", "not connected"),
    507: Code("link", "the API message was damaged"),
    # links
    1100: Code("link", "TWS has lost IB", "wait; positions and orders stay at IB"),
    1101: Code("link", "TWS has IB again; data must be asked for again"),
    1102: Code("link", "TWS has IB again; data goes on"),
    1300: Code("link", "TWS's API port was changed", "set broker.port"),
    2100: Code("notice", "account data was taken over by another subscription; asked for again"),
    2101: Code("link", "another client has the account data of another account; asked for again",
               "end the other program's account updates, or give it this account"),
    2103: Code("data", "a market data farm is away"),
    2104: Code("notice", "a market data farm is connected"),
    2105: Code("data", "a historical data farm is away"),
    2106: Code("notice", "a historical data farm is connected"),
    2107: Code("notice", "a historical data farm sleeps until it is asked"),
    2108: Code("notice", "a market data farm sleeps until it is asked"),
    2110: Code("link", "TWS is away from IB; it comes back by itself"),
    2119: Code("notice", "a market data farm is connecting"),
    2148: Code("notice", "the order is checked against bracket rules"),
    2157: Code("notice", "the security definition farm is away"),
    2158: Code("notice", "the security definition farm is connected"),
    2168: Code("notice", "TWS keeps a request in its queue"),
    2169: Code("notice", "TWS keeps a request in its queue"),
    # data
    101: Code("data", "too many market data lines", "close watch lists in TWS"),
    354: Code("data", "no market data subscription; delayed data may be there",
              "subscribe in Client Portal, or accept delayed data"),
    420: Code("data", "real-time data was refused"),
    10089: Code("data", "the API needs a market data subscription of its own",
                "Client Portal: market data subscriptions, API acknowledgement"),
    10090: Code("data", "part of the market data is not subscribed"),
    10091: Code("data", "part of the market data needs a subscription for the API"),
    10167: Code("notice", "no live data; delayed data is shown instead"),
    10168: Code("data", "neither live nor delayed data is permitted",
                "Client Portal: market data subscriptions; TWS: allow delayed data"),
    10186: Code("data", "neither live nor delayed data is permitted",
                "Client Portal: market data subscriptions"),
    10187: Code("data", "historical ticks were refused"),
    10197: Code("data", "another session of this login takes the live data",
                "log the other session out"),
}  # fmt: skip


def look_up(code: int) -> Code:
    """The table's entry; an unknown code is said to be unknown."""
    return CODES.get(code, Code("unknown", f"code {code} is not in the table"))


def is_read_only(code: int, text: str) -> bool:
    """TWS's API has "Read-Only API" ticked: it shows everything and takes no order."""
    return code == INVALID_REQUEST and "read-only" in text.lower()
