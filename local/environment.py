"""The settings of a stack on this machine: ports, secrets, folders, as environment variables."""

import base64
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from local.binaries import MC, MINIO
from local.ports import free_port, is_free
from microdemucs.paths import ROOT

STATE = Path(os.environ.get("MICRO_DEMUCS_STATE", ROOT / ".run"))

PORTS = {
    "UPLOAD_PORT": 8080,
    "SEPARATE_PORT": 8082,
    "NOTIFY_PORT": 8083,
    "STORE_PORT": 9000,
    "NATS_PORT": 4222,
}
_BUS_USERS = ("PROVISION", "MINIO", "EVENTS", "SEPARATE", "UPLOAD", "NOTIFY", "LOGS")
_STORE_USERS = ("EVENTS", "SEPARATE", "UPLOAD", "NOTIFY")


@dataclass(frozen=True, slots=True)
class Local:
    """A stack's folder, and the variables that all its processes get."""

    state: Path
    variables: dict[str, str]

    @property
    def page(self) -> str:
        """The address of the web form."""
        return f"http://127.0.0.1:{self.variables['UPLOAD_PORT']}"

    @property
    def store(self) -> str:
        """The address of the object store."""
        return self.variables["STORE_URL"]

    def of(self, part: str) -> dict[str, str]:
        """The variables of a program that acts as `part`: provision is the store's root."""
        name = part.upper()
        root = part == "provision"
        return self.variables | {
            "NATS_USER": part,
            "NATS_PASSWORD": self.variables[f"NATS_{name}_PASSWORD"],
            "STORE_ACCESS_KEY": self.variables["MINIO_ROOT_USER"] if root else part,
            "STORE_SECRET_KEY": self.variables[
                "MINIO_ROOT_PASSWORD" if root else f"STORE_{name}_SECRET"
            ],
        }


def local(state: Path = STATE, *, ports: dict[str, int] | None = None) -> Local:
    """The settings of the stack in the folder `state`; secrets are drawn at the first call.

    A port that is taken moves aside, and a line says so.
    """
    state.mkdir(parents=True, exist_ok=True)
    chosen = {name: _port(name, default) for name, default in (ports or PORTS).items()}
    variables = _secrets(state / "secrets") | {name: str(port) for name, port in chosen.items()}
    store = f"http://127.0.0.1:{chosen['STORE_PORT']}"
    page = f"http://127.0.0.1:{chosen['UPLOAD_PORT']}"
    variables |= {
        "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'minio-events'}",
        "PYTHONUNBUFFERED": "1",
        "HOST": "127.0.0.1",
        "MINIO": str(MINIO.binary),
        "MC": str(MC.binary),
        "MINIO_ROOT_USER": "root",
        "MINIO_BROWSER": "off",
        # The browser sends songs straight to the store, from the form's address.
        "MINIO_API_CORS_ALLOW_ORIGIN": f"{page},{page.replace('127.0.0.1', 'localhost')}",
        "STORE_DATA": str(state / "store"),
        "STORE_QUEUE_DIR": str(state / "queue"),
        "STORE_URL": store,
        "NATS_HOST": "127.0.0.1",
        "NATS_STORE": str(state / "bus"),
        "NATS_URL": f"nats://127.0.0.1:{chosen['NATS_PORT']}",
        "SEPARATE_URL": f"http://127.0.0.1:{chosen['SEPARATE_PORT']}",
        "NOTIFY_URL": f"http://127.0.0.1:{chosen['NOTIFY_PORT']}",
        "PUBLIC_URL": page,
        "WEBHOOK_ALLOW_PRIVATE": "yes",  # receivers on this machine
        "GRACE_SECONDS": "3",  # honcho kills what has not stopped after 5
    }
    given = {name: os.environ[name] for name in _PASSED_ON if os.environ.get(name)}
    return Local(state, variables | given)


def started(state: Path = STATE) -> Local:
    """The settings of the stack that was started in `state`. Raises SystemExit where none was."""
    try:
        lines = (state / "env").read_text().splitlines()
    except OSError:
        raise SystemExit("no stack has been started here: make run") from None
    return Local(state, dict(line.split("=", 1) for line in lines))


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


def _port(name: str, default: int) -> int:
    wanted = int(os.environ.get(name, default))
    if wanted and is_free(wanted):
        return wanted
    port = free_port()
    if wanted:
        print(f"port {wanted} is taken: {name} is {port} this time", flush=True)
    return port


def _secrets(file: Path) -> dict[str, str]:
    names = [f"NATS_{user}_PASSWORD" for user in _BUS_USERS]
    names += [f"STORE_{user}_SECRET" for user in _STORE_USERS] + ["MINIO_ROOT_PASSWORD"]
    if file.exists():
        held = dict(line.split("=", 1) for line in file.read_text().splitlines())
    else:
        # The first letter keeps NATS from reading a password as a number.
        held = {name: "s" + secrets.token_hex(16) for name in names}
        held["CALLBACK_SECRET"] = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        file.touch(mode=0o600)
        file.write_text("".join(f"{name}={value}\n" for name, value in held.items()))
    return held
