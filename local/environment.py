"""The environment variables of a stack on this machine: ports, secrets, folders."""

import base64
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from local.binaries import MC, MINIO
from local.ports import free_port, is_free, reserve
from microdemucs.paths import ROOT

FOLDER = Path(os.environ.get("MICRO_DEMUCS_STATE", ROOT / ".run"))
"""Where the stack of this clone keeps its data, secrets and logs."""

PORTS = {
    "UPLOAD_PORT": 8080,
    "SEPARATE_PORT": 8082,
    "NOTIFY_PORT": 8083,
    "STORE_PORT": 9000,
    "NATS_PORT": 4222,
}
_BUS_USERS = ("PROVISION", "MINIO", "EVENTS", "SEPARATE", "UPLOAD", "NOTIFY", "LOGS")
_STORE_USERS = ("EVENTS", "SEPARATE", "UPLOAD", "NOTIFY")
_PASSED_ON = (
    "MODEL",
    "MODELS_DIR",
    "MODELS_CACHE",
    "ENGINE",
    "PRECISION",
    "MAX_SONG_SECONDS",
    "MAX_SONG_BYTES",
    "MP3_QUALITY",
    "RANGE_SECONDS",
    "SONG_CONCURRENCY",
)


@dataclass(frozen=True, slots=True)
class Environment:
    """A stack's folder, and the environment variables that all its components get."""

    folder: Path
    variables: dict[str, str]

    @staticmethod
    def create(folder: Path = FOLDER, *, ports: dict[str, int] | None = None) -> "Environment":
        """Return the environment of a stack in `folder`; the first call draws its secrets.

        A port that is in use is replaced by a free one, and a printed line says so. Port 0 means
        any free port.
        """
        folder.mkdir(parents=True, exist_ok=True)
        chosen = {name: _port(name, default) for name, default in (ports or PORTS).items()}
        variables = _secrets(folder / "secrets") | _variables(folder, chosen)
        overrides = {name: os.environ[name] for name in _PASSED_ON if os.environ.get(name)}
        return Environment(folder, variables | overrides)

    @staticmethod
    def load(folder: Path = FOLDER) -> "Environment":
        """Return the environment of the stack that was started in `folder`.

        Raises SystemExit if none was started there.
        """
        try:
            lines = (folder / "env").read_text().splitlines()
        except OSError:
            raise SystemExit("no stack has been started here; start one with `make run`") from None
        return Environment(folder, dict(line.split("=", 1) for line in lines))

    def save(self) -> Path:
        """Write the variables to a file that only the owner can read, for `load` and honcho."""
        file = self.folder / "env"
        file.touch(mode=0o600)
        file.write_text("".join(f"{name}={value}\n" for name, value in self.variables.items()))
        return file

    @property
    def upload_url(self) -> str:
        """The URL of the web form and the REST API."""
        return f"http://127.0.0.1:{self.variables['UPLOAD_PORT']}"

    @property
    def store_url(self) -> str:
        """The URL of the object store."""
        return self.variables["STORE_URL"]

    def for_component(self, component: str) -> dict[str, str]:
        """Return the variables of `component`, with its users; provision is the store's root."""
        name = component.upper()
        is_root = component == "provision"
        return self.variables | {
            "NATS_USER": component,
            "NATS_PASSWORD": self.variables[f"NATS_{name}_PASSWORD"],
            "STORE_ACCESS_KEY": self.variables["MINIO_ROOT_USER"] if is_root else component,
            "STORE_SECRET_KEY": self.variables[
                "MINIO_ROOT_PASSWORD" if is_root else f"STORE_{name}_SECRET"
            ],
        }


def _variables(folder: Path, ports: dict[str, int]) -> dict[str, str]:
    upload = f"http://127.0.0.1:{ports['UPLOAD_PORT']}"
    return {name: str(port) for name, port in ports.items()} | {
        "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'minio-events'}",
        "PYTHONUNBUFFERED": "1",
        "HOST": "127.0.0.1",
        "MINIO": str(MINIO.binary),
        "MC": str(MC.binary),
        "MINIO_ROOT_USER": "root",
        "MINIO_BROWSER": "off",
        # The browser sends songs straight to the store, from the form's address.
        "MINIO_API_CORS_ALLOW_ORIGIN": f"{upload},{upload.replace('127.0.0.1', 'localhost')}",
        "STORE_DATA": str(folder / "store"),
        "STORE_QUEUE_DIR": str(folder / "queue"),
        "STORE_URL": f"http://127.0.0.1:{ports['STORE_PORT']}",
        "NATS_HOST": "127.0.0.1",
        "NATS_STORE": str(folder / "bus"),
        "NATS_URL": f"nats://127.0.0.1:{ports['NATS_PORT']}",
        "SEPARATE_URL": f"http://127.0.0.1:{ports['SEPARATE_PORT']}",
        "NOTIFY_URL": f"http://127.0.0.1:{ports['NOTIFY_PORT']}",
        "PUBLIC_URL": upload,
        "WEBHOOK_ALLOW_PRIVATE": "yes",  # for receivers on this machine
        "GRACE_SECONDS": "3",  # honcho kills processes that have not stopped after 5 s
    }


def _port(name: str, default: int) -> int:
    requested = int(os.environ.get(name, default))
    if requested and is_free(requested) and reserve(requested):
        return requested
    port = free_port()
    if requested:
        print(f"port {requested} is in use: {name} is {port} this time", flush=True)
    return port


def _secrets(file: Path) -> dict[str, str]:
    known = file.read_text().splitlines() if file.exists() else []
    names = [f"NATS_{user}_PASSWORD" for user in _BUS_USERS]
    names += [f"STORE_{user}_SECRET" for user in _STORE_USERS] + ["MINIO_ROOT_PASSWORD"]
    # The first letter keeps NATS from reading a password as a number.
    drawn = {name: "s" + secrets.token_hex(16) for name in names}
    drawn["CALLBACK_SECRET"] = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    drawn["EVENTS_SECRET"] = secrets.token_hex(32)
    drawn |= dict(line.split("=", 1) for line in known)  # a later version may have more
    file.touch(mode=0o600)
    file.write_text("".join(f"{name}={value}\n" for name, value in drawn.items()))
    return drawn
