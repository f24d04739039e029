from collections.abc import Sequence

import pytest

from functions.upload.stem_mp4 import in_order
from functions.upload.stored_stem import StoredStem
from microdemucs.manifest import StemEntry
from microdemucs.problems import Problem


def stems(names: Sequence[str]) -> list[StoredStem]:
    return [StoredStem(StemEntry(name, f"a/{name}.mp3", 1, "audio/mpeg"), "e", 1) for name in names]


def test_the_tracks_have_the_order_that_players_expect() -> None:
    ordered = in_order(stems(["vocals", "drums", "other", "bass"]))
    assert [stem.entry.name for stem in ordered] == ["drums", "bass", "other", "vocals"]


def test_guitar_and_piano_share_the_track_of_other() -> None:
    ordered = in_order(stems(["vocals", "piano", "drums", "other", "guitar", "bass"]))
    names = [stem.entry.name for stem in ordered]
    assert names == ["drums", "bass", "piano", "other", "guitar", "vocals"]


@pytest.mark.parametrize(
    "names",
    [
        ["vocals", "no_vocals"],
        ["drums", "bass", "other"],
        ["drums", "bass", "other", "vocals", "guitar"],
        ["drums", "bass", "vocals", "guitar", "piano"],
        ["drums", "bass", "other", "vocals", "guitar", "kazoo"],
        ["drums", "bass", "other", "vocals", "vocals"],
    ],
)
def test_other_stems_are_refused_by_their_names(names: list[str]) -> None:
    with pytest.raises(Problem, match=names[0]) as caught:
        in_order(stems(names))
    assert (caught.value.status, caught.value.kind) == (409, "not-four-stems")
