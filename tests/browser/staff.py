"""Somebody of the staff in the demo's admin."""

from __future__ import annotations

from playwright.sync_api import Page

__all__ = ["sign_in"]


def sign_in(page: Page, site: str, path: str) -> None:
    """Open a page of the admin as the demo's superuser.

    :param site: its address.
    :param path: of the page that comes behind the sign-in.
    """
    page.route("**/favicon.ico", lambda route: route.fulfill(status=204))  # Django's admin has none
    page.goto(f"{site}/admin/login/?next={path}")
    page.fill("#id_username", "admin")
    page.fill("#id_password", "admin")
    with page.expect_navigation():
        page.click("[type=submit]")
