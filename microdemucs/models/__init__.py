"""Which models there are, as upload and separate see them: read from the files, without an engine.

Nothing here loads weights, or needs numpy, OpenVINO or torch.
"""

SAMPLE_RATE = 44_100
"""Hz. All models take and return stereo at this rate."""

FULL, BUNDLED = "htdemucs", "htdemucs_tiny"
LIMITED_QUALITY = (
    "limited quality: this is the small model that comes with the program; "
    "`make models MODEL=htdemucs` gets the full one"
)


class UnusableWeights(ValueError):
    """No engine can run these weights. The text gives the reason."""


class CannotBuild(ValueError):
    """OpenVINO cannot run this network. The text gives the reason."""
