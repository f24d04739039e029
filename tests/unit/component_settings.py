"""The settings of each component, and which of them are secrets."""

import functions.notify.settings
import functions.separate.settings
import functions.upload.settings
from microdemucs.settings import declarations
from minio_events.settings import BridgeSettings, IntakeSettings, ProvisionSettings, SweepSettings

SETTINGS: dict[str, type] = {
    "separate": functions.separate.settings.Settings,
    "upload": functions.upload.settings.Settings,
    "notify": functions.notify.settings.Settings,
    "bridge": BridgeSettings,
    "intake": IntakeSettings,
    "sweep": SweepSettings,
    "provision": ProvisionSettings,
}
"""Component → all its settings."""
_USERS = {"NATS_USER", "STORE_ACCESS_KEY"}


def secrets_of(component: str) -> set[str]:
    """Return the names of the component's secrets, and of the users to whom they belong."""
    declared = declarations(SETTINGS[component])
    return {one.name for one in declared if one.secret or one.name in _USERS}
