"""An object store that runs in the test process, and says what was asked of it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from sluice.pipeline.storage import conditional, filesystems

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class Request(NamedTuple):
    """A request that the store has answered."""

    method: str
    path: str
    query: str


class Written(NamedTuple):
    """An object at the moment when a reader can see it.

    Attributes:
        key: its name.
        data: its bytes.
        there: the names of all objects at that moment.
    """

    key: str
    data: bytes
    there: frozenset[str]


class Store:
    """A running S3 server with one bucket.

    Attributes:
        endpoint: its URL.
        requests: what it was asked, in order.
        written: the objects that became visible, in order, while `watching` was true.
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self.requests: list[Request] = []
        self.written: list[Written] = []
        self.watching = False

    def saw(self, request: Request) -> None:
        """Notes a request that was answered, and what it made visible."""
        self.requests.append(request)
        bucket, _, key = request.path.lstrip("/").partition("/")
        if self.watching and request.method in ("PUT", "POST") and bucket == "bucket":
            from moto.s3.models import s3_backends

            keys = s3_backends["123456789012"]["aws"].buckets["bucket"].keys
            if key in keys:
                there = frozenset(keys.keys())
                self.written.append(Written(key, bytes(keys[key].value), there))

    def client(self) -> Any:
        """Returns boto3's client of the store: another implementation than the one under test."""
        import boto3

        return boto3.client("s3", endpoint_url=self.endpoint, region_name="us-east-1")

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """Returns the objects of the bucket below a prefix; folder marks are left out."""
        client = self.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix=prefix)
        keys = [o["Key"] for page in pages for o in page.get("Contents", ())]
        return {
            key[len(prefix) :].lstrip("/"): client.get_object(Bucket="bucket", Key=key)[
                "Body"
            ].read()
            for key in keys
            if not key.endswith("/")
        }


def forget_clients() -> None:
    """Lets the next request find the store that the environment names by then."""
    filesystems._filesystem.cache_clear()
    conditional.s3_client.cache_clear()


@contextmanager
def running() -> Iterator[Store]:
    """Runs moto's S3 server on loopback, and points the environment at it."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_request(self, *_: object) -> None:
            pass

    app, store = DomainDispatcherApplication(create_backend_app), Store()

    def recorded(environ: dict[str, Any], start: Any) -> Any:
        answer = app(environ, start)
        about = environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"]
        store.saw(Request(*about))
        return answer

    server = make_server("127.0.0.1", 0, recorded, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    store.endpoint = f"http://127.0.0.1:{server.server_port}"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": store.endpoint}.items():
            patch.setenv(name, value)
        forget_clients()
        store.client().create_bucket(Bucket="bucket")
        yield store
    forget_clients()
    server.shutdown()
    thread.join()
