"""What an image holds, as CycloneDX has it, read by syft from the image's own files.

syft reads what Debian's and Python's packages left in the image, so it tells what is there and not
what was asked for. Standard library only.
"""

import json
import os
import subprocess
from pathlib import Path

from local.binaries import SYFT, build
from local.setup import pip_install


def write(archive: Path, name: str, created: str) -> Path:
    """Write the SBOM of a docker archive beside it: <archive>.cdx.json.

    The same archive gives the same bytes: the time is `created`, and there is no serial number,
    which is drawn. Raises SystemExit where syft cannot be built, CalledProcessError where it fails.
    """
    build((SYFT,), pip_install)
    command = [str(SYFT.binary), "scan", "--quiet", f"docker-archive:{archive}"]
    command += ["--source-name", name, "--output", "cyclonedx-json"]
    environment = os.environ | {
        "SYFT_CHECK_FOR_APP_UPDATE": "false",
        "SYFT_FILE_METADATA_SELECTION": "none",  # packages, not each of 3,000 files
    }
    said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    document = json.loads(said.stdout)
    del document["serialNumber"]
    document["metadata"]["timestamp"] = created
    [tool] = document["metadata"]["tools"]["components"]
    tool["version"] = SYFT.version
    file = archive.with_suffix(".cdx.json")
    file.write_text(json.dumps(document, indent=1) + "\n")
    return file
