from microdemucs.paths import FUNCTIONS, MODELS, ROOT


def test_the_folders_exist() -> None:
    assert (ROOT / "README.md").is_file()
    assert (FUNCTIONS / "separate/main.py").is_file()
    assert (MODELS / "htdemucs_tiny").is_dir()
