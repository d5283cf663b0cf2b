"""An object store that runs in the test process, and says what was asked of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from pipeline import storage

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


class Store:
    """A running S3 server with one bucket.

    Attributes:
        endpoint: its URL.
        requests: what it was asked, in order.
    """

    def __init__(self, endpoint: str):
        self.endpoint = endpoint
        self.requests: list[Request] = []

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


@contextmanager
def running() -> Iterator[Store]:
    """Runs moto's S3 server on loopback, and points the environment at it."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_request(self, *_: object) -> None:
            pass

    app = DomainDispatcherApplication(create_backend_app)
    found: list[Request] = []

    def recorded(environ: dict[str, Any], start: Any) -> Any:
        answer = app(environ, start)
        about = environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"]
        found.append(Request(*about))
        return answer

    import threading

    server = make_server("127.0.0.1", 0, recorded, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    store = Store(f"http://127.0.0.1:{server.server_port}")
    store.requests = found
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": store.endpoint}.items():
            patch.setenv(name, value)
        storage._filesystem.cache_clear()
        store.client().create_bucket(Bucket="bucket")
        yield store
    storage._filesystem.cache_clear()
    server.shutdown()
    thread.join()


def environment() -> dict[str, str]:
    """Returns the environment for a process that is to find the store."""
    return dict(os.environ)
