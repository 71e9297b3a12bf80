"""Somebody of the staff in the demo's admin."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Page

from .people import PASSWORD

__all__ = ["SETTINGS", "Site", "sign_in", "start"]

SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.browser.admin_site"}
_START = """async ([slug, input]) => {
    const headers = {
        "content-type": "application/json", accept: "application/json",
        "x-csrftoken": /csrftoken=([^;]+)/.exec(document.cookie)[1],
    };
    const body = JSON.stringify({ input });
    const answer = await fetch(`/ling/workflows/${slug}/runs/`, { method: "POST", headers, body });
    return (await answer.json()).run;
}"""


class Site(NamedTuple):
    """A site that is served, and its database."""

    url: str
    database: Path

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query finds."""
        with closing(sqlite3.connect(self.database)) as connection:
            return connection.execute(query, values).fetchall()

    def options(self, step: str) -> tuple[str, Any]:
        """The kind and the options of a step, as they are stored."""
        ((kind, options),) = self.rows("SELECT kind, options FROM lingstream_step WHERE name = ?", step)
        return kind, json.loads(options)


def sign_in(page: Page, site: str, path: str, name: str = "admin") -> None:
    """Open a page of the admin as somebody.

    :param site: its address.
    :param path: of the page that comes behind the sign-in.
    :param name: the demo's superuser, or who `people` has put into a group.
    """
    page.goto(f"{site}/admin/login/?next={path}")
    page.fill("#id_username", name)
    page.fill("#id_password", "admin" if name == "admin" else PASSWORD)
    with page.expect_navigation():
        page.click("[type=submit]")


def start(page: Page, slug: str, question: str) -> str:
    """Start a run as who has signed in on a page, and return its id."""
    return str(page.evaluate(_START, [slug, {"question": question}]))
