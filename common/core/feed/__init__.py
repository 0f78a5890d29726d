"""The parts of `quotes`, the market feed's decider."""
