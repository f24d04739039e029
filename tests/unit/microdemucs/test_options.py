import pytest

from microdemucs.options import BadOption, Options


def test_what_is_not_said_is_the_default():
    assert Options.of_request({}) == Options()
    assert Options().changed() == {}


def test_metadata_names_have_hyphens_and_values_are_text():
    said = {"two-stems": "vocals", "format": "FLAC", "bits": "24", "mm-source-mtime": "0644"}
    assert Options.of_metadata(said) == Options(two_stems="vocals", format="flac", bits=24)


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(stems=("drums", "vocals"), format="wav", bits=32, clip_mode="clamp"),
        Options(model="htdemucs_ft", shifts=2, overlap=0.1, segment=5.5, bitrate=128),
    ],
)
def test_options_survive_their_way_as_metadata(options):
    assert Options.of_metadata(options.metadata()) == options


@pytest.mark.parametrize(
    ("name", "value", "accepts"),
    [
        ("format", "ogg", "mp3, flac, wav"),
        ("bitrate", 123, "320"),
        ("bits", 8, "16, 24, 32"),
        ("shifts", "many", "a whole number from 0 to 20"),
        ("shifts", True, "a whole number"),
        ("shifts", 1.5, "a whole number"),
        ("overlap", "nan", "a number from 0 to 0.9"),
        ("overlap", 1, "a number from 0 to 0.9"),
        ("segment", -1, "a number from 1 to 60"),
        ("clip_mode", "hard", "rescale, clamp, none"),
        ("model", "../../etc/passwd", "a name"),
        ("stems", 3, "a list of stems"),
        ("stems", ["drums", 3], "a name"),
        ("two_stems", {"a": 1}, "a name"),
    ],
)
def test_a_bad_value_is_refused_with_the_option_and_what_it_accepts(name, value, accepts):
    with pytest.raises(BadOption) as refused:
        Options.of_request({name: value})
    assert refused.value.detail.startswith(name)
    assert accepts in refused.value.detail


def test_a_request_may_not_misspell_an_option():
    with pytest.raises(BadOption, match="formt"):
        Options.of_request({"formt": "flac"})


def test_32_bits_are_for_wav_only():
    with pytest.raises(BadOption, match="bits"):
        Options.of_request({"format": "flac", "bits": 32})
