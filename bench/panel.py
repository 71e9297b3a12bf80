"""Starts trials as the admin's panel does: by staff, with the form of a workflow's page as it stands."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import Any, NamedTuple
from urllib.parse import urlencode

__all__ = ["EACH", "PASSWORD", "USERS", "Trial", "trials"]

EACH = 20  # trials that one person may have open
USERS = 50
PASSWORD = "bench"
PATIENCE = 60.0


class Trial(NamedTuple):
    """One that has been started, and the session of who follows it."""

    run: str
    token: str
    cookie: str


def trials(port: int, page: str, number: int, input: Any) -> Iterator[Trial]:
    """Start ``number`` trials of what stands in the form at ``page``, by as many people as that takes."""
    for first in range(0, number, EACH):
        staff = Staff(port, f"staff{first // EACH}")
        form = Form("workflow_form")
        form.feed(staff.ask("GET", page))
        fields = [*form.fields, ("trial-version", ""), ("trial-input", json.dumps(input))]
        for _ in range(min(EACH, number - first)):
            started = json.loads(staff.ask("POST", page.replace("/change/", "/trial/"), fields))
            yield Trial(started["run"], started["token"], staff.cookie)


class Staff:
    """Somebody who is signed in."""

    def __init__(self, port: int, name: str) -> None:
        self._client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self._cookies = SimpleCookie()
        self.ask("GET", "/admin/login/")
        self.ask("POST", "/admin/login/", [("username", name), ("password", PASSWORD), ("next", "/admin/")])

    @property
    def cookie(self) -> str:
        """The header that says who it is."""
        return "; ".join(f"{name}={each.value}" for name, each in self._cookies.items())

    def ask(self, method: str, path: str, fields: list[tuple[str, str]] | None = None) -> str:
        """Return what a page answers."""
        head = {"Cookie": self.cookie}
        body = None
        if fields is not None:
            body = urlencode(fields)
            head |= {"Content-Type": "application/x-www-form-urlencoded"}
            head["X-CSRFToken"] = self._cookies["csrftoken"].value
        self._client.request(method, path, body, head)
        response = self._client.getresponse()
        text = response.read().decode()
        for line in response.headers.get_all("Set-Cookie") or ():
            self._cookies.load(line)
        if response.status not in (200, 201, 302):
            raise ConnectionError(f"{method} {path}: {response.status} {text[:500]}")
        return text


class Form(HTMLParser):
    """What submitting a form as it is would send."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.fields: list[tuple[str, str]] = []
        self._name = name
        self._inside = False
        self._select = ""
        self._area: str | None = None
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("name") or ""
        if tag == "form":
            self._inside = given.get("id") == self._name
        elif not self._inside:
            return
        elif tag == "input" and name:
            kind = given.get("type")
            if kind not in ("submit", "button", "file") and (kind != "checkbox" or "checked" in given):
                self.fields.append((name, given.get("value") or ("on" if kind == "checkbox" else "")))
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and "selected" in given:
            self.fields.append((self._select, given.get("value") or ""))
        elif tag == "textarea":
            self._area, self._text = name, ""

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "select":
            self._select = ""
        elif tag == "textarea" and self._area is not None:
            self.fields.append((self._area, self._text.removeprefix("\r\n").removeprefix("\n")))
            self._area = None
