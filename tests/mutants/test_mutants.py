"""Each broken protocol is found by the tests that are there to find it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.catalogue import MUTANTS, Mutant

ROOT = Path(__file__).parent.parent.parent
TESTS_FAILED = 1
"""pytest's exit status; 0 is a mutant that survived, anything else one that cannot even start."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_protocol_that_is_broken_on_purpose_is_found(mutant: Mutant) -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist",
            "-p", "tests.mutants.plugin", mutant.found_by,
        ],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "TRADER_MUTANT": mutant.name, "PYTEST_ADDOPTS": ""},
    )  # fmt: skip
    assert done.returncode == TESTS_FAILED, done.stdout[-2000:] + done.stderr[-2000:]
