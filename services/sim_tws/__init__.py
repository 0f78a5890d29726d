"""A simulated TWS for unmodified API clients: wire protocol, exchange, account, market and faults.

Never compared with a real TWS; docs/assumptions.md lists what nobody could prove. It shares no
rule with the trading system. Reading order: `wire`, `requests`, `session`, `server` (who answers
what), `broker`, `exchange`, `account`, `day_cycle`, then the desks and `faults`.
"""
