"""Write the software bill of materials of an image, as CycloneDX, with syft.

syft reads what Debian's and Python's packages left in the image: the SBOM lists what is installed,
not what was requested. Standard library only.
"""

import json
import os
import subprocess
from pathlib import Path

from local.binaries import SYFT, build
from local.setup import pip_install


def write(archive: Path, name: str, created: str) -> Path:
    """Write the SBOM of a docker archive beside it, as <archive>.cdx.json; return its path.

    The same archive gives the same bytes: the time is `created`, and the random serial number is
    removed. Raises SystemExit if syft cannot be built, CalledProcessError if it fails.
    """
    build((SYFT,), pip_install)
    command = [str(SYFT.binary), "scan", "--quiet", f"docker-archive:{archive}"]
    command += ["--source-name", name, "--output", "cyclonedx-json"]
    environment = os.environ | {
        "SYFT_CHECK_FOR_APP_UPDATE": "false",
        "SYFT_FILE_METADATA_SELECTION": "none",  # list packages, not each of 3,000 files
    }
    scan = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    document = json.loads(scan.stdout)
    del document["serialNumber"]
    document["metadata"]["timestamp"] = created
    [tool] = document["metadata"]["tools"]["components"]
    tool["version"] = SYFT.version
    file = archive.with_suffix(".cdx.json")
    file.write_text(json.dumps(document, indent=1) + "\n")
    return file
