"""Reads back what a page holds, without the code that wrote it."""

import base64
import json
from html.parser import HTMLParser

import numpy as np

TYPES = {"steps": "<i2", "origin": "<f4", "scale": "<f4", "frame": "<f8", "person": "<i4"}
TYPES |= {"confidence": "u1", "expected": "<u2"}


class Page(HTMLParser):
    """The elements of a page: their tags and attributes, and the texts of those with an id."""

    def __init__(self, text):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._id = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._id = dict(attrs).get("id")
        if tag == "title":
            self._id = "title"

    def handle_data(self, data):
        if self._id is not None:
            self.texts[self._id] = self.texts.get(self._id, "") + data

    def handle_endtag(self, tag):
        self._id = None

    @property
    def facts(self):
        return json.loads(self.texts["facts"])

    def has(self, name):
        return f"array-{name}" in self.texts

    def array(self, name):
        data = base64.b64decode(self.texts[f"array-{name}"], validate=True)
        return np.frombuffer(data, TYPES[name.rpartition("-")[2]])

    def points(self, name, axes):
        """Points (row, point, axis), NaN where missing."""
        scale = self.array(f"{name}-scale").astype(np.float64)
        origin = self.array(f"{name}-origin").reshape(len(scale), 1, axes)
        steps = self.array(f"{name}-steps").reshape(len(scale), -1, axes)
        points = origin + scale[:, None, None] * steps
        points[steps == -32768] = np.nan
        return points
