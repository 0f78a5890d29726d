"""The parts of `outbox`, the broker gateway's decider."""
