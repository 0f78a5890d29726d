"""Questions that TWS ends with an End message or an error: each has exactly one answer."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from ib_insync import Contract

from common.tws.connection import TwsConnection
from common.tws.link_messages import TwsError


class Answer(NamedTuple):
    """`problem` is empty when the answer is good; `code` is TWS's, 0 where it said none."""

    found: list[Any]
    problem: str = ""
    code: int = 0


class Questions:
    """The open questions of one connection. Its owner passes on the errors that TWS says."""

    def __init__(self, connection: TwsConnection, timeout_s: float) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._errors: dict[int, TwsError] = {}

    def refused(self, error: TwsError) -> None:
        """TWS's error about a request; it explains an answer that comes up empty."""
        self._errors[error.ref_id] = error

    def forget(self) -> None:
        """A new connection: what was asked on the old one has been answered."""
        self._errors.clear()

    async def ask(self, request: str, contract: Contract, **details: Any) -> Answer:
        """Sends one request of the library's client and waits for its end."""
        await self._connection.request_room()
        if not self._connection.connected:
            return Answer([], "not connected to TWS")
        ib = self._connection.ib
        req_id = ib.client.getReqId()
        answer = ib.wrapper.startReq(req_id, contract)
        getattr(ib.client, request)(req_id, contract, **details)
        try:
            found = await asyncio.wait_for(answer, self._timeout_s)
        except TimeoutError:
            return Answer([], f"TWS did not answer within {self._timeout_s:g} s")
        except ConnectionError:
            return Answer([], "the connection to TWS was lost")
        error = self._errors.pop(req_id, None)
        if error is None:
            return Answer(list(found or ()))
        return Answer(list(found or ()), f"{error.text} ({error.code})", error.code)
