"""The parts of `risk`, the stop monitor's decider."""
