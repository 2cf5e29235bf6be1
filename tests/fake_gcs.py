"""A Cloud Storage of this process: enough of its JSON API for gcsfs, Orbax and TensorStore.

Like the real one it has no folders, appends nothing and renames nothing.
"""

import contextlib
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

OBJECT = re.compile(r"(?:/download)?/storage/v1/b/([^/]+)/o/([^/]+)$")
OBJECTS = re.compile(r"(/upload)?/storage/v1/b/([^/]+)/o$")
BUCKET = re.compile(r"/storage/v1/b/([^/]+)(/storageLayout)?$")
COPY = re.compile(r"/storage/v1/b/[^/]+/o/([^/]+)/(\w+)To(?:/b/[^/]+)?/o/([^/]+)$")
BUCKET_NAME = "bucket"


class FakeGCS(ThreadingHTTPServer):
    """Holds one bucket, `gs://bucket`; `objects` maps names to (content, generation)."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, tuple[bytes, int]] = {}
        self.requests: list[str] = []
        self.forbidden = False
        """Answer every request with 403, as where credentials lack a right."""
        self.lock = threading.RLock()
        self.generations = 0

    @property
    def environment(self):
        """The variables that lead the three clients here."""
        url = f"http://127.0.0.1:{self.server_port}"
        return {
            "STORAGE_EMULATOR_HOST": url,
            "TENSORSTORE_GCS_HTTP_URL": url,
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": "none",
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # asks by gRPC
        }

    def put(self, name, content):
        with self.lock:
            self.generations += 1
            self.objects[name] = (content, self.generations)

    def names(self, prefix=""):
        with self.lock:
            return sorted(name for name in self.objects if name.startswith(prefix))

    def content(self, name):
        return self.objects[name][0]

    def handle_error(self, request, client_address):
        pass  # a client that was killed


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeGCS

    def log_message(self, *arguments):
        pass

    def answer(self, status, content=b"", headers=()):
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Type", "application/json")
        for name, value in headers:
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def refuse(self, status, reason):
        self.answer(status, {"error": {"code": status, "message": reason}})

    def dispatch(self):
        parts = urlsplit(self.path)
        self.query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            self.body = self.read_chunks()
        with self.server.lock:
            self.server.requests.append(f"{self.command} {self.path}")
            if self.server.forbidden:
                return self.refuse(403, "caller does not have storage.objects access")
            path = parts.path
            if match := COPY.match(path):
                return self.copy(*map(unquote, match.groups()))
            for pattern in (OBJECT, OBJECTS, BUCKET):
                if match := pattern.match(path):
                    bucket = match.group(2 if pattern is OBJECTS else 1)
                    if bucket != BUCKET_NAME:
                        return self.refuse(404, "The specified bucket does not exist.")
            if match := OBJECT.match(path):
                return self.on_object(unquote(match.group(2)))
            if match := OBJECTS.match(path):
                return self.upload() if match.group(1) else self.list()
            if BUCKET.match(path):
                return self.answer(200, {"name": BUCKET_NAME, "kind": "storage#bucket"})
            return self.refuse(404, "Not Found")

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = dispatch

    def read_chunks(self):
        content = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def about(self, name):
        content, generation = self.server.objects[name]
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        return {
            "kind": "storage#object",
            "bucket": BUCKET_NAME,
            "name": name,
            "size": str(len(content)),
            "generation": str(generation),
            "metageneration": "1",
            "timeCreated": now,
            "updated": now,
            "etag": str(generation),
        }

    def generation_fits(self, name):
        wanted = self.query.get("ifGenerationMatch")
        _, generation = self.server.objects.get(name, (b"", 0))
        return wanted is None or int(wanted) == generation

    def on_object(self, name):
        if name not in self.server.objects:
            return self.refuse(404, f"No such object: {BUCKET_NAME}/{name}")
        content, generation = self.server.objects[name]
        if self.command == "DELETE":
            if not self.generation_fits(name):
                return self.refuse(412, "conditionNotMet")
            del self.server.objects[name]
            return self.answer(204)
        if self.query.get("alt") != "media":
            return self.answer(200, self.about(name))
        if self.query.get("ifGenerationNotMatch") == str(generation):
            return self.answer(304)
        headers = [("x-goog-generation", generation), ("ETag", generation)]
        if match := re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, last = int(match.group(1)), int(match.group(2) or len(content) - 1)
            last = min(last, len(content) - 1)
            if start > last:
                return self.refuse(416, "Requested range not satisfiable")
            headers.append(("Content-Range", f"bytes {start}-{last}/{len(content)}"))
            return self.answer(206, content[start : last + 1], headers)
        return self.answer(200, content, headers)

    def list(self):
        prefix, delimiter = self.query.get("prefix", ""), self.query.get("delimiter")
        items, prefixes = [], set()
        for name in self.server.names(prefix):
            rest = name.removeprefix(prefix)
            if delimiter and delimiter in rest:
                prefixes.add(prefix + rest.split(delimiter)[0] + delimiter)
            elif name >= self.query.get("startOffset", ""):
                items.append(self.about(name))
        self.answer(200, {"items": items, "prefixes": sorted(prefixes)})

    def upload(self):
        kind, name, content = self.query["uploadType"], self.query.get("name"), self.body
        if kind == "resumable" and "upload_id" not in self.query:  # begins one
            name = name or json.loads(self.body)["name"]
            location = f"http://{self.headers['Host']}{self.path}&upload_id=1&name={name}"
            return self.answer(200, {}, [("Location", location)])
        if kind == "multipart":  # the name, as JSON, then the content
            boundary = re.search(r"boundary=['\"]?([^'\";]+)", self.headers["Content-Type"])
            parts = self.body.split(b"--" + boundary.group(1).encode())[1:3]
            about, content = (part.partition(b"\n\n" if b"\r\n\r\n" not in part else b"\r\n\r\n")[2]
                              for part in parts)  # fmt: skip
            content = content.removesuffix(b"\n").removesuffix(b"\r")
            name = json.loads(about)["name"]
        if not self.generation_fits(name):
            return self.refuse(412, "conditionNotMet")
        self.server.put(name, content)
        return self.answer(200, self.about(name))

    def copy(self, source, how, target):
        if source not in self.server.objects:
            return self.refuse(404, "No such object")
        self.server.put(target, self.server.content(source))
        if how == "move":  # of one object
            del self.server.objects[source]
            return self.answer(200, self.about(target))
        return self.answer(200, {"done": True, "resource": self.about(target)})


@contextlib.contextmanager
def fake_gcs():
    """A running server."""
    with FakeGCS() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
