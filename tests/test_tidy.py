"""Who may import whom, one home per library, and what the pure core may not touch."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINES_MAX = 600

LONGER: dict[str, str] = {
    "common/messages.py": "every message of the system on one page",
}
"""Files that may be longer, and why."""

HOMES: dict[str, tuple[str, ...]] = {
    "zmq": ("common/bus.py", "bench/", "tests/"),
    "ib_insync": ("common/tws/", "services/trader/doctor/", "bench/", "tests/"),
    "ib_async": ("tests/",),
    "eventkit": ("common/tws/", "tests/"),
    "pandas": (
        "common/calendar.py", "services/sim_tws/market/", "services/backtest/",
        "bench/yardsticks/", "tests/",
    ),
    "exchange_calendars": (
        "common/calendar.py", "services/sim_tws/market/sessions.py", "services/pacer.py",
        "services/backtest/", "tests/",
    ),
    "uvloop": ("common/service.py", "tests/", "bench/"),
    "msgpack": ("services/trader/tail.py", "services/sim_tws/recorder.py", "tests/", "bench/"),
    "typer": ("services/trader/", "tests/"),
    "rich": ("services/trader/", "services/run/", "services/tables.py", "tests/"),
    "supervisor": ("common/supervision.py", "tests/"),
    "numba": ("services/backtest/", "tests/", "bench/"),
    "pyarrow": ("services/backtest/sweep/parquet.py", "tests/"),
    "distributed": ("services/backtest/sweep/cluster.py", "tests/"),
    "matplotlib": ("services/backtest/report/", "tests/"),
    "arch": ("services/backtest/report/", "tests/"),
    "jinja2": ("services/backtest/report/", "tests/"),
    "markupsafe": ("services/backtest/report/", "tests/"),
    "ffn": ("tests/",),
}  # fmt: skip
"""Where each library may be imported: a file, or a folder (ending in /)."""

EXCEPTIONS: dict[tuple[str, str], str] = {
    ("services/tables.py", "services.sim_tws"): "it prints the docs' tables, faults among them",
    ("services/backtest/history.py", "services.sim_tws"): "one reader of CSV files, one refusal",
    ("services/backtest/invented.py", "services.sim_tws"): "one invented market",
    ("services/trader/backtest_options.py", "services.backtest"): "what research may be told",
    ("services/backtest/examination.py", "services.sim_tws"): "the same reader and refusals",
    ("services/backtest/bar_files.py", "services.sim_tws"): "rows are written as they are read",
    ("services/backtest/refresh.py", "services.sim_tws"): "the same sessions",
    ("services/backtest/recorded.py", "services.sim_tws"): "the rows and bars of a history",
    ("services/trader/comparison.py", "services.backtest"): "a run beside its backtest",
    ("services/trader/history.py", "services.backtest"): "the commands of the data's folder",
    ("services/trader/research.py", "services.backtest"): "the commands of research",
    ("services/trader/research_tables.py", "services.backtest"): "what research shows",
    ("services/trader/reproduced_pages.py", "services.backtest"): "the same, in the pages",
    ("services/trader/sweeping.py", "services.backtest"): "a command of research",
    ("services/trader/sweep_tables.py", "services.backtest"): "what it shows",
}
"""Imports that the rules forbid and a reason allows."""

PURE_STDLIB = frozenset(
    {
        "__future__", "bisect", "collections", "dataclasses", "datetime", "enum", "functools",
        "hashlib", "importlib", "itertools", "json", "math", "operator", "re", "string", "typing",
        "zlib", "zoneinfo",
    }
)  # fmt: skip
CORE_MAY_IMPORT = (
    "common.core", "common.messages", "common.settings", "common.clock", "common.topology",
    "common.tws.messages", "common.tws.link_messages", "common.tws.market_messages",
    "common.tws.codes", "common.console_messages",
)  # fmt: skip
"""Messages, settings, tables and constants; `common.clock` for its constants alone."""

ROOMS = {
    "common/core/feed": "quotes", "common/core/gateway": "outbox", "common/core/monitor": "risk",
}  # fmt: skip
"""Where the parts of a large decider lie, and the decider whose they are."""
SHARED_BY_ROOMS = ("common.core.rules", "common.core.staleness")
TIMELESS = ("common/engine.py", "common/fold.py", "common/memory.py", "common/wire.py")
"""Beside the core: what must run alike on a virtual clock and on a real one."""

CLOCK_CONSTANTS = frozenset({"SECOND_NS", "MINUTE_NS", "NEW_YORK"})
IMPURE_CALLS = frozenset({"open", "print", "input", "exec", "eval", "__import__"})
IMPURE_MODULES = frozenset(
    {
        "asyncio", "logging", "os", "pathlib", "random", "secrets", "select", "shutil", "signal",
        "socket", "subprocess", "sys", "tempfile", "threading", "time", "uuid",
    }
)  # fmt: skip
BARE = re.compile(r"# (noqa(: *[A-Z0-9, ]+)?|type: ignore(\[[a-z, -]+\])?) *$")
"""A silenced check with nothing said behind it."""
VAGUE = frozenset({"util", "utils", "helper", "helpers", "misc", "common", "tools"})


def files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> tuple[tuple[str, str], ...]:
    """Each (module, name) that a file imports anywhere; name is "" for a plain import."""
    found: list[tuple[str, str]] = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports relatively"
            found += [(str(node.module), alias.name) for alias in node.names]
    return tuple(found)


def within(module: str, roots: tuple[str, ...]) -> bool:
    return any(module == root or module.startswith(f"{root}.") for root in roots)


def service_of(module: str) -> str:
    """`services.sim_tws.server` is part of `services.sim_tws`."""
    return ".".join(module.split(".")[:2])


def own_service(path: Path) -> str:
    return f"services.{path.relative_to(ROOT / 'services').parts[0].removesuffix('.py')}"


def ids(path: object) -> str:
    return name_of(path) if isinstance(path, Path) else str(path)


CODE = files("common", "services")
CORE = files("common/core")
SERVICES = files("services")


# --- who may import whom -----------------------------------------------------------------------


@pytest.mark.parametrize("path", files("common"), ids=ids)
def test_common_imports_no_service(path: Path) -> None:
    assert not [module for module, _ in imports(path) if module.split(".")[0] == "services"]


def test_no_files_import_each_other_in_a_circle() -> None:
    """Not for types alone either: what knows each other is read as one."""
    homes = {name_of(path).removesuffix(".py").removesuffix("/__init__"): path for path in CODE}
    homes = {home.replace("/", "."): path for home, path in homes.items()}
    graph = {
        home: {
            wanted
            for module, name in imports(path)
            for wanted in (f"{module}.{name}" if f"{module}.{name}" in homes else module,)
            if wanted in homes and wanted != home
        }
        for home, path in homes.items()
    }
    TopologicalSorter(graph).prepare()  # CycleError names them


@pytest.mark.parametrize("path", SERVICES, ids=ids)
def test_a_service_imports_no_other_service(path: Path) -> None:
    mine = own_service(path)
    for module, name in imports(path):
        if module.split(".")[0] != "services":
            continue
        other = service_of(module if module != "services" else f"services.{name}")
        allowed = other == mine or (name_of(path), other) in EXCEPTIONS
        assert allowed, f"{name_of(path)} imports {other}"


@pytest.mark.parametrize("path", files("services/sim_tws"), ids=ids)
def test_the_simulated_tws_shares_the_clock_with_the_system_and_nothing_else(path: Path) -> None:
    """It must not be a fiction that we agree on with ourselves."""
    ours = {
        f"{module}.{name}" if module == "common" else module
        for module, name in imports(path)
        if module.split(".")[0] == "common"
    }
    assert ours <= {"common.clock", "common.parent"}


def test_nothing_of_the_system_imports_the_tests_or_the_bench() -> None:
    for path in CODE:
        assert not [m for m, _ in imports(path) if m.split(".")[0] in ("tests", "bench")]


def test_every_exception_is_still_needed() -> None:
    for file, module in EXCEPTIONS:
        found = {service_of(name) for name, _ in imports(ROOT / file)}
        assert module in found, f"{file} no longer imports {module}"


@pytest.mark.parametrize("library", HOMES)
def test_each_library_has_its_home(library: str) -> None:
    for path in files("common", "services", "bench", "tests"):
        if library in {module.split(".")[0] for module, _ in imports(path)}:
            home = any(
                name_of(path) == allowed or (allowed.endswith("/") and allowed in name_of(path))
                for allowed in HOMES[library]
            )
            assert home, f"{name_of(path)} imports {library}"


# --- the pure core -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", CORE, ids=ids)
def test_the_core_imports_messages_settings_itself_and_what_is_pure(path: Path) -> None:
    for module, name in imports(path):
        full = f"{module}.{name}" if module in ("common", "common.tws") else module
        if module.split(".")[0] in PURE_STDLIB or module.split(".")[0] == "msgspec":
            continue
        assert within(full, CORE_MAY_IMPORT), f"{name_of(path)} imports {full}"
        if full == "common.clock":
            assert name in CLOCK_CONSTANTS, f"{name_of(path)} takes {name} of the clock"


@pytest.mark.parametrize("path", CORE, ids=ids)
def test_the_core_reads_no_clock_opens_no_file_and_draws_no_lots(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in IMPURE_CALLS, f"{name_of(path)}:{node.lineno}"
        if isinstance(node, ast.Attribute):
            assert node.attr not in {"now", "today", "utcnow"} or not _is_date(node), (
                f"{name_of(path)}:{node.lineno} reads the wall clock"
            )
    assert not {module.split(".")[0] for module, _ in imports(path)} & IMPURE_MODULES


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_of_the_core_knows_itself_and_the_shared_rules_alone(room: str) -> None:
    mine = room.replace("/", ".")
    for path in files(room):
        for module, name in imports(path):
            full = f"{module}.{name}" if module == "common.core" else module
            if within(full, ("common.core",)):
                assert within(full, (mine, *SHARED_BY_ROOMS)), f"{name_of(path)} imports {full}"


@pytest.mark.parametrize("path", CORE, ids=ids)
def test_a_decider_knows_no_other_decider_and_no_room_but_its_own(path: Path) -> None:
    for module, name in imports(path):
        full = f"{module}.{name}" if module == "common.core" else module
        for room, decider in ROOMS.items():
            if within(full, (room.replace("/", "."), f"common.core.{decider}")):
                home = name_of(path.parent) == room or path.stem == decider
                assert home, f"{name_of(path)} imports {full}"


@pytest.mark.parametrize("file", TIMELESS)
def test_the_loop_takes_time_from_what_it_is_given_and_draws_no_lots(file: str) -> None:
    """Else no seed could repeat a run (tests/simulation)."""
    path = ROOT / file
    forbidden = IMPURE_MODULES - {"logging", "pathlib"}
    assert not {module.split(".")[0] for module, _ in imports(path)} & forbidden
    taken = {name for module, name in imports(path) if module == "common.clock"}
    assert taken <= CLOCK_CONSTANTS | {"Clock"}, f"{file} takes {taken} of the clock"


def _is_date(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in {"date", "datetime", "time"}


def test_the_rules_are_plain_functions_of_numbers() -> None:
    """So that research compiles the very same source."""
    assert {module for module, _ in imports(ROOT / "common/core/rules.py")} <= {
        "__future__", "math",
    }  # fmt: skip


# --- what a process loads ----------------------------------------------------------------------

LOADS = """
import sys
import {module}
for name in sorted(set(sys.modules)):
    print(name.partition(".")[0])
"""


def loaded_by(module: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOADS.format(module=module)],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return set(done.stdout.split())


def test_the_stop_monitor_loads_nothing_that_delays_the_stop() -> None:
    """Its start-up is time without a stop."""
    heavy = {
        "ib_insync", "eventkit", "pandas", "numpy", "numba", "asyncio", "uvloop",
        "exchange_calendars", "typer", "rich",
    }  # fmt: skip
    assert not loaded_by("services.risk_monitor") & heavy


@pytest.mark.parametrize("service", ["order_executor", "signal_engine", "broker_gateway"])
def test_no_other_deciding_service_loads_pandas_or_a_calendar(service: str) -> None:
    assert not loaded_by(f"services.{service}") & {"pandas", "numba", "exchange_calendars"}


@pytest.mark.parametrize("service", ["trader.app", "market_feed", "broker_gateway"])
def test_what_draws_the_report_is_loaded_by_no_service_and_no_other_command(service: str) -> None:
    assert not loaded_by(f"services.{service}") & {"matplotlib", "arch", "scipy", "jinja2"}


# --- pages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", files("common", "services", "bench", "tests"), ids=ids)
def test_a_file_is_a_page_with_a_name_and_a_first_line_that_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if name_of(path) not in LONGER and not name_of(path).startswith("tests/"):
        assert text.count("\n") <= LINES_MAX, f"{name_of(path)} has {text.count(chr(10))} lines"
    assert path.stem not in VAGUE, f"{name_of(path)}: the name says nothing"
    if path.name != "__init__.py" or text.strip():
        assert ast.get_docstring(tree_of(path)), f"{name_of(path)} does not say what it is"


def test_every_longer_file_is_still_longer() -> None:
    for file in LONGER:
        assert (ROOT / file).read_text(encoding="utf-8").count("\n") > LINES_MAX


@pytest.mark.parametrize("path", CODE, ids=ids)
def test_each_silenced_check_says_why(path: Path) -> None:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        assert not BARE.search(line), f"{name_of(path)}:{number} gives no reason"


@pytest.mark.parametrize("path", CODE, ids=ids)
def test_nothing_is_left_for_later(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for word in ("TODO", "FIXME", "XXX", "HACK", "NotImplementedError"):
        assert word not in text, f"{name_of(path)} says {word}"
