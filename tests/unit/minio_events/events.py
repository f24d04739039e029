"""A CloudEvent's attributes, as the bridge sends them."""

EVENT = {
    "id": "1",
    "source": "minio:s3..songs",
    "type": "com.amazonaws.s3.ObjectCreated:Put",
    "subject": "a.mp3",
    "datacontenttype": "application/json",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}
