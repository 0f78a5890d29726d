"""Parses PLACE_ORDER, whose layout depends on its own contents and on the server version."""

from __future__ import annotations

import math

from services.sim_tws import contracts
from services.sim_tws.contracts import Contract
from services.sim_tws.orders import Ticket
from services.sim_tws.wire import FieldError, Fields


def read(fields: Fields, version: int) -> tuple[int, Contract, Ticket]:
    """Order id, instrument and ticket; FieldError where the fields do not fit the layout."""
    order_id = fields.integer()
    contract = contracts.read(fields)
    fields.skip(2)  # secIdType, secId
    odd: list[str] = []  # features parsed only to be refused by name
    values: dict[str, object] = {}
    _main_fields(fields, values)
    _combination(fields, contract, odd)
    _extended_fields(fields, values)
    _volatility_and_scale(fields, values, odd)
    _hedge_clearing_algo(fields, values, odd)
    _conditions_and_adjustments(fields, str(values["order_type"]), values, odd)
    _gated_fields(fields, version, contract, values)
    values["unsupported"] = odd[0] if odd else ""
    return order_id, contract, Ticket(**values)  # type: ignore[arg-type] # filled field by field above


def _main_fields(fields: Fields, values: dict[str, object]) -> None:
    values["action"] = fields.text().upper()
    values["quantity"] = fields.number() or 0.0
    values["order_type"] = _order_type(fields.text())
    values["limit_usd"] = fields.number()
    values["aux_usd"] = fields.number()
    values["tif"] = fields.text().upper() or "DAY"
    values["oca_group"] = fields.text()
    values["account"] = fields.text()
    values["open_close"] = fields.text()
    values["origin"] = fields.integer()
    values["order_ref"] = fields.text()
    values["transmit"] = fields.flag()
    values["parent_id"] = fields.integer()
    values["block_order"] = fields.flag()
    values["sweep_to_fill"] = fields.flag()
    values["display_size"] = fields.whole()
    values["trigger_method"] = fields.integer()
    values["outside_rth"] = fields.flag()
    values["hidden"] = fields.flag()


def _combination(fields: Fields, contract: Contract, odd: list[str]) -> None:
    if contract.sec_type != "BAG":
        return
    odd.append("combination orders")
    for _ in range(fields.count()):
        fields.skip(8)
    for _ in range(fields.count()):
        fields.skip(1)
    for _ in range(fields.count()):
        fields.skip(2)


def _extended_fields(fields: Fields, values: dict[str, object]) -> None:
    fields.skip(1)  # sharesAllocation, obsolete
    values["discretionary_usd"] = fields.number() or 0.0
    values["good_after"] = fields.text()
    values["good_till"] = fields.text()
    values["fa_group"] = fields.text()
    values["fa_method"] = fields.text()
    values["fa_percentage"] = fields.text()
    values["fa_profile"] = fields.text()
    values["model_code"] = fields.text()
    fields.skip(3)  # shortSaleSlot, designatedLocation, exemptCode
    values["oca_type"] = fields.integer()
    values["rule_80a"] = fields.text()
    values["settling_firm"] = fields.text()
    values["all_or_none"] = fields.flag()
    values["min_quantity"] = fields.whole()
    fields.skip(11)  # percentOffset .. overridePercentageConstraints


def _volatility_and_scale(fields: Fields, values: dict[str, object], odd: list[str]) -> None:
    fields.skip(2)  # volatility, volatilityType
    if fields.text() not in {"", "None"}:
        odd.append("delta-neutral orders")
        fields.skip(9)
    else:
        fields.skip(1)  # deltaNeutralAuxPrice
    fields.skip(2)  # continuousUpdate, referencePriceType
    values["trail_stop_usd"] = fields.number()
    values["trailing_percent"] = fields.number()
    fields.skip(2)  # scaleInitLevelSize, scaleSubsLevelSize
    increment = fields.number()
    if increment is not None and increment > 0:
        odd.append("scale orders")
        fields.skip(7)
    fields.skip(3)  # scaleTable, activeStartTime, activeStopTime


def _hedge_clearing_algo(fields: Fields, values: dict[str, object], odd: list[str]) -> None:
    if fields.text():
        odd.append("hedge orders")
        fields.skip(1)
    values["opt_out_smart_routing"] = fields.flag()
    values["clearing_account"] = fields.text()
    values["clearing_intent"] = fields.text()
    values["not_held"] = fields.flag()
    if fields.flag():
        odd.append("delta-neutral contracts")
        fields.skip(3)
    if fields.text():
        odd.append("algorithms")
        for _ in range(fields.count()):
            fields.skip(2)
    fields.skip(1)  # algoId
    values["what_if"] = fields.flag()
    fields.skip(1)  # orderMiscOptions
    values["solicited"] = fields.flag()
    values["randomize_size"] = fields.flag()
    values["randomize_price"] = fields.flag()


def _conditions_and_adjustments(
    fields: Fields, order_type: str, values: dict[str, object], odd: list[str]
) -> None:
    if order_type == "PEG BENCH":
        fields.skip(5)
    if fields.count():
        raise FieldError("conditions are not supported")
    if fields.text() not in {"", "None"}:
        odd.append("adjustable orders")
    fields.skip(9)  # triggerPrice .. softDollarTier.value
    values["cash_quantity"] = fields.number()
    fields.skip(4)  # mifid2 deciders and traders
    fields.skip(3)  # dontUseAutoPriceForHedge, isOmsContainer, discretionaryUpToLimitPrice
    values["use_price_mgmt_algo"] = fields.flag()


def _gated_fields(
    fields: Fields, version: int, contract: Contract, values: dict[str, object]
) -> None:
    if version >= 158:
        values["duration_s"] = fields.whole()
    if version >= 160:
        fields.skip(1)  # postToAts
    if version >= 162:
        values["auto_cancel_parent"] = fields.flag()
    if version >= 166:
        fields.skip(1)  # advancedErrorOverride
    if version >= 169:
        fields.skip(1)  # manualOrderTime
    if version < 170:
        return
    if contract.exchange == "IBKRATS":
        fields.skip(1)  # minTradeQty
    if values["order_type"] == "PEG BEST":
        fields.skip(1)  # minCompeteSize
        if fields.number() == math.inf:
            fields.skip(2)
    elif values["order_type"] == "PEG MID":
        fields.skip(2)


def _order_type(text: str) -> str:
    name = text.upper()
    return {"STPLMT": "STP LMT", "MARKET": "MKT", "LIMIT": "LMT"}.get(name, name)
