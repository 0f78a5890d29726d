"""For pytest (`-p tests.mutants.plugin`): brings the mutant named by TRADER_MUTANT to life."""

from __future__ import annotations

import os

from tests.mutants.catalogue import MUTANTS


def pytest_configure() -> None:
    name = os.environ["TRADER_MUTANT"]
    next(mutant for mutant in MUTANTS if mutant.name == name).live()
