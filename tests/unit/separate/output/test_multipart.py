"""minio-py's private methods that an upload is made of: they may change with any release."""

import inspect

import pytest
from minio import Minio

METHODS = {
    "_create_multipart_upload": ["bucket_name", "object_name", "headers"],
    "_upload_part": [
        *("bucket_name", "object_name", "data", "headers", "upload_id", "part_number"),
    ],
    "_complete_multipart_upload": ["bucket_name", "object_name", "upload_id", "parts"],
    "_abort_multipart_upload": ["bucket_name", "object_name", "upload_id"],
}


@pytest.mark.parametrize("name", METHODS)
def test_the_method_exists_with_its_parameters_in_order(name: str) -> None:
    parameters = [*inspect.signature(getattr(Minio, name)).parameters]
    assert parameters[1 : len(METHODS[name]) + 1] == METHODS[name]
