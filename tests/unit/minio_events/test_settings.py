"""The settings of the programs: what is accepted, and what a refusal says."""

import pytest

from microdemucs.settings import BadSetting
from minio_events.settings import BridgeSettings, ProvisionSettings, SweepSettings

PROVISION = {
    "STORE_ACCESS_KEY": "root",
    "STORE_SECRET_KEY": "root-secret",
    "NATS_MINIO_PASSWORD": "minio-password",
    "STORE_QUEUE_DIR": "/queue",
    **{f"STORE_{name}_SECRET": "s" for name in ("EVENTS", "SEPARATE", "UPLOAD", "NOTIFY")},
}


@pytest.mark.parametrize("value", ["{}", '{"extensions": {}}', '{"extensions": null}', ""])
def test_there_may_be_no_extensions(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("K_CE_OVERRIDES", value)
    assert BridgeSettings().extensions == {}


def test_extensions_are_read_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K_CE_OVERRIDES", '{"extensions": {"cluster": "north", "rack": 7}}')
    assert BridgeSettings().extensions == {"cluster": "north", "rack": "7"}


@pytest.mark.parametrize("value", ["nonsense", "[]", '{"extensions": 3}'])
def test_other_overrides_are_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("K_CE_OVERRIDES", value)
    with pytest.raises(BadSetting, match=r"K_CE_OVERRIDES is .* must be JSON such as"):
        BridgeSettings()


@pytest.mark.parametrize("name", ["A-b", "", "ä"])
def test_a_name_that_is_no_extension_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("K_CE_OVERRIDES", f'{{"extensions": {{"{name}": "c"}}}}')
    with pytest.raises(BadSetting, match="K_CE_OVERRIDES"):
        BridgeSettings()


def test_the_sink_is_notify_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_URL", "http://notify.example/")
    assert BridgeSettings().sink_url == "http://notify.example"
    monkeypatch.setenv("K_SINK", "http://broker.example")
    assert BridgeSettings().sink_url == "http://broker.example"


@pytest.mark.parametrize(
    ("name", "value"), [("SWEEP_GRACE_SECONDS", "-1"), ("SWEEP_TELL_HOURS", "soon")]
)
def test_the_sweeps_times_are_numbers(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSetting, match=f"{name} is '{value}'"):
        SweepSettings()


def test_each_user_of_the_store_has_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PROVISION.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("STORE_NOTIFY_SECRET", "notify-secret")
    assert ProvisionSettings().store_secret("notify") == "notify-secret"


@pytest.mark.parametrize("name", PROVISION)
def test_provision_needs_each_of_its_secrets(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for other, value in PROVISION.items():
        monkeypatch.setenv(other, value)
    monkeypatch.setenv(name, "")
    with pytest.raises(BadSetting, match=name):
        ProvisionSettings()
