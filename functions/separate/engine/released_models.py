"""The models that demucs 4.1 releases: their names, their networks, and where their files are.

The tables are those of demucs' folder `remote`, the repositories those of demucs.hf. Neither demucs
nor torch is needed to read them.
"""

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReleasedModel:
    """A model as demucs' list `<name>.yaml` describes it (functions.separate.engine.bag)."""

    networks: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...] | None = None
    segment: int | None = None

    @property
    def description(self) -> str:
        """The text of the list."""
        fields = {"models": self.networks, "weights": self.weights, "segment": self.segment}
        return json.dumps({key: value for key, value in fields.items() if value})


_MDX_WEIGHTS = ((1, 1, 0, 0), (0, 1, 0, 0), (1, 0, 1, 1), (1, 0, 1, 1))

MODELS = {
    "htdemucs": ReleasedModel(("955717e8",)),
    "htdemucs_ft": ReleasedModel(
        ("f7e0c4bc", "d12395a8", "92cfc3b6", "04573f0d"),
        ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)),
    ),
    "htdemucs_6s": ReleasedModel(("5c90dfd2",)),
    "hdemucs_mmi": ReleasedModel(("75fc33f5",), segment=44),
    "mdx": ReleasedModel(
        ("0d19c1c6", "7ecf8ec1", "c511e2ab", "7d865c68"), _MDX_WEIGHTS, segment=44
    ),
    "mdx_extra": ReleasedModel(("e51eebcc", "a1d90b5c", "5d2d6c55", "cfa93e08"), segment=44),
    "mdx_extra_q": ReleasedModel(("83fc094f", "464b36d7", "14fc6a69", "7fd6ef75"), segment=44),
    "mdx_q": ReleasedModel(
        ("6b9c2ca1", "b72baf4e", "42e558d4", "305bc58f"), _MDX_WEIGHTS, segment=44
    ),
    "repro_mdx_a": ReleasedModel(("9a6b4851", "1ef250f1", "fa0cb7f9", "902315c2"), segment=44),
    "repro_mdx_a_hybrid_only": ReleasedModel(
        ("fa0cb7f9", "902315c2", "fa0cb7f9", "902315c2"), segment=44
    ),
    "repro_mdx_a_time_only": ReleasedModel(
        ("9a6b4851", "9a6b4851", "1ef250f1", "1ef250f1"), segment=44
    ),
}
"""The models by their names; a network is named by its signature."""

OLDER_SERVER = "https://dl.fbaipublicfiles.com/demucs"

PICKLES = {
    name.split("/")[1].split("-")[0]: name
    for name in (
        "mdx_final/0d19c1c6-0f06f20e.th",
        "mdx_final/5d2d6c55-db83574e.th",
        "mdx_final/7d865c68-3d5dd56b.th",
        "mdx_final/7ecf8ec1-70f50cc9.th",
        "mdx_final/a1d90b5c-ae9d2452.th",
        "mdx_final/c511e2ab-fe698775.th",
        "mdx_final/cfa93e08-61801ae1.th",
        "mdx_final/e51eebcc-c1b80bdd.th",
        "mdx_final/6b9c2ca1-3fd82607.th",
        "mdx_final/b72baf4e-8778635e.th",
        "mdx_final/42e558d4-196e0e1b.th",
        "mdx_final/305bc58f-18378783.th",
        "mdx_final/14fc6a69-a89dd0ee.th",
        "mdx_final/464b36d7-e5a9386e.th",
        "mdx_final/7fd6ef75-a905dd85.th",
        "mdx_final/83fc094f-4a16d450.th",
        "mdx_final/1ef250f1-592467ce.th",
        "mdx_final/902315c2-b39ce9c9.th",
        "mdx_final/9a6b4851-03af0aa6.th",
        "mdx_final/fa0cb7f9-100d8bf4.th",
        "hybrid_transformer/955717e8-8726e21a.th",
        "hybrid_transformer/f7e0c4bc-ba3fe64a.th",
        "hybrid_transformer/d12395a8-e57c48e6.th",
        "hybrid_transformer/92cfc3b6-ef3bcb9c.th",
        "hybrid_transformer/04573f0d-f3cf25b2.th",
        "hybrid_transformer/75fc33f5-1941ce65.th",
        "hybrid_transformer/5c90dfd2-34c22ccb.th",
    )
}
"""The path of each signature on demucs' older server. A name ends with 8 digits of a SHA-256."""


def repository(name: str) -> str:
    """Return the name of the repository of a model, or of a network by its signature."""
    bag = next((bag for bag, model in MODELS.items() if name in model.networks), name)
    if bag.startswith("htdemucs"):
        return ("HTDemucs-" + bag.removeprefix("htdemucs").lstrip("_")).rstrip("-")
    return f"Demucs-{bag}"
