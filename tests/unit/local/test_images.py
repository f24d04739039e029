import pytest

from local.images import TARGETS, image_name


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_of_a_component_has_the_name_of_the_project(target: str) -> None:
    name = image_name(target, "registry.example.com/music", "1.2.0")
    assert name == f"registry.example.com/music/micro-demucs-{target}:1.2.0"


def test_an_image_of_a_server_has_its_own_name() -> None:
    assert image_name("minio") == "dev.local/minio:1"
