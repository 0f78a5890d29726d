"""Settings: one file, bounds, readable refusals, overrides from the environment."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from common import settings as settings_file
from common.settings import SETTINGS_FILE, Settings, SettingsError, from_json, load

SHIPPED = SETTINGS_FILE.read_text(encoding="utf-8")


def with_line(tmp_path: Path, old: str, new: str) -> Path:
    """The shipped file with one text replaced."""
    assert old in SHIPPED
    path = tmp_path / "settings.toml"
    path.write_text(SHIPPED.replace(old, new, 1), encoding="utf-8")
    return path


def test_the_shipped_file_holds_every_setting_at_its_default() -> None:
    assert load(environment={}) == Settings()
    keys = {(section, key) for section, values in tomllib.loads(SHIPPED).items() for key in values}
    assert keys == {
        (section, key)
        for section in Settings.__struct_fields__
        for key in msgspec.structs.asdict(getattr(Settings(), section))
    }


def test_every_line_of_the_file_says_its_meaning() -> None:
    lines = [line for line in SHIPPED.splitlines() if re.match(r"[a-z_]+ *=", line)]
    assert [line for line in lines if not re.search(r"# \S.{8,}", line)] == []


def test_paper_is_the_default() -> None:
    assert Settings().account.mode == "paper"


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("loss_fraction = 0.02 ", "loss_fractoin = 0.02 ", "stop: .*loss_fractoin"),
        ("[stop]", "[stopp]", "stopp"),
        ("loss_fraction = 0.02 ", 'loss_fraction = "2%" ', "stop.loss_fraction: .*float"),
        ("loss_fraction = 0.02 ", "loss_fraction = 2.0 ", r"stop.loss_fraction: .*<= 0\.2"),
        ("loss_fraction = 0.02 ", "loss_fraction = -0.02 ", r"stop.loss_fraction: .*>= 0\.001"),
        ("loss_fraction = 0.02 ", "loss_fraction = nan ", "stop.loss_fraction"),
        ("ema_fast = 25 ", "ema_fast = 25.5 ", "strategy.ema_fast: .*int"),
        ("ema_fast = 25 ", "ema_fast = true ", "strategy.ema_fast: .*int"),
        ('mode = "paper"', 'mode = "real"', "account.mode"),
        ("vix_below = [12.0, 13.0, 14.0]", "vix_below = [12.0, 13.0, 0.0]", "leverage.vix_below"),
    ],
)
def test_a_wrong_line_is_refused_with_its_path(
    tmp_path: Path, old: str, new: str, names: str
) -> None:
    with pytest.raises(SettingsError, match=names):
        load(with_line(tmp_path, old, new), environment={})


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("ema_fast = 25 ", "ema_fast = 125 ", "ema_fast .* must be smaller than .*ema_slow"),
        ("history_years = 5 ", "history_years = 1 ", "ask for more years"),
        ("[12.0, 13.0, 14.0]", "[12.0, 14.0]", "must have the same length"),
        ("[12.0, 13.0, 14.0]", "[14.0, 13.0, 12.0]", "vix_below must rise"),
        ("[3.75, 3.5, 3.25]", "[3.25, 3.5, 3.75]", "leverage.leverage must fall"),
        ("base = 3.0 ", "base = 3.5 ", "leverage.base must not exceed"),
        ("last_s_before_close = 60.0", "last_s_before_close = 300.0", "must be later than"),
        (
            "readiness_minutes_before_close = 10.0",
            "readiness_minutes_before_close = 5.0",
            "must be larger than",
        ),
        ('mode = "paper"', 'mode = "live"', "account.id must name the exact account"),
        ("data_client_id = 2", "data_client_id = 1", "must differ"),
        ("regt_leverage_max = 2.0", "regt_leverage_max = 3.1", "must not exceed leverage.base"),
    ],
)
def test_a_contradiction_is_refused_with_its_reason(
    tmp_path: Path, old: str, new: str, names: str
) -> None:
    with pytest.raises(SettingsError, match=names):
        load(with_line(tmp_path, old, new), environment={})


def test_test_entries_are_refused_in_live_mode() -> None:
    live = {
        "TRADER__ACCOUNT__MODE": "live",
        "TRADER__ACCOUNT__ID": "U1234567",
        "TRADER__ENTRY__TEST_ENTRY": "true",
    }
    with pytest.raises(SettingsError, match="test_entry"):
        load(environment=live)


@pytest.mark.parametrize(
    ("name", "text", "path", "value"),
    [
        ("TRADER__STOP__LOSS_FRACTION", "0.015", "stop.loss_fraction", 0.015),
        ("TRADER__ACCOUNT__ID", "DU1234567", "account.id", "DU1234567"),
        ("TRADER__ACCOUNT__ID", '"DU1234567"', "account.id", "DU1234567"),
        ("TRADER__BROKER__PAPER_PORTS", "[4002]", "broker.paper_ports", (4002,)),
        ("TRADER__ENTRY__REENTRY_SAME_DAY", "false", "entry.reentry_same_day", False),
    ],
)
def test_the_environment_overrides_a_line(name: str, text: str, path: str, value: object) -> None:
    section, key = path.split(".")
    assert getattr(getattr(load(environment={name: text}), section), key) == value


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("TRADER__STOP", "1", "TRADER__SECTION__KEY"),
        ("TRADER__STOP__", "1", "TRADER__SECTION__KEY"),
        ("TRADER__STOP__LOSS", "1", "stop: .*`loss`"),
        ("TRADER__STOP__LOSS_FRACTION", "2", "^TRADER__STOP__LOSS_FRACTION: stop.loss_fraction: "),
        ("TRADER__STOP__LOSS_FRACTION", "0.02\n[x]", "TRADER__STOP__LOSS_FRACTION: one value"),
        ("TRADER__STOP__LOSS_FRACTION", "[" * 5000, "stop.loss_fraction"),
    ],
)
def test_a_wrong_override_is_refused_by_name(name: str, text: str, names: str) -> None:
    with pytest.raises(SettingsError, match=names):
        load(environment={name: text})


def test_other_variables_of_the_environment_are_none_of_its_business() -> None:
    assert load(environment={"TRADER_VAR": "x", "PATH": "/bin"}) == Settings()


def test_an_absent_or_broken_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / "none.toml", environment={})
    broken = tmp_path / "broken.toml"
    broken.write_text("[stop\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="not valid TOML"):
        load(broken, environment={})


@pytest.mark.parametrize("text", [b"x = '\xff'", b"x = " + b"[" * 5000, b"stop = 5"])
def test_a_file_that_is_no_text_or_no_table_is_refused_by_name(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(text)
    with pytest.raises(SettingsError, match=r"settings\.toml"):
        load(path, environment={"TRADER__STOP__LOSS_FRACTION": "0.02"})


@pytest.mark.parametrize("ports", ["[0]", "[-1]", "[65536]"])
def test_a_port_that_no_socket_has_is_refused(ports: str) -> None:
    with pytest.raises(SettingsError, match=r"broker\.live_ports"):
        load(environment={"TRADER__BROKER__LIVE_PORTS": ports})


def test_a_journal_gives_back_the_settings_it_kept() -> None:
    changed = load(environment={"TRADER__STOP__LOSS_FRACTION": "0.015"})
    assert from_json(changed.to_json()) == changed


def test_the_hash_differs_when_any_value_differs() -> None:
    same, other = load(environment={}), load(environment={"TRADER__LIMITS__WIRE_WAIT_S": "31"})
    assert same.hash() == Settings().hash()
    assert same.hash() != other.hash()


def test_the_largest_leverage_is_the_largest_of_the_table() -> None:
    assert Settings().leverage.largest == 3.75
    assert settings_file.LeverageTable(vix_below=(), leverage=()).largest == 3.0
