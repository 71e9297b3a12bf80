"""The demo's settings for the chat page: the strictest policy under which a form can still be sent."""

from __future__ import annotations

import tempfile

from tests.browser.strict import *  # noqa: F403
from tests.browser.strict import POLICY as STRICTEST
from tests.browser.strict import Policy as Strict

MEDIA_ROOT = tempfile.mkdtemp()

INSTALLED_APPS = [*INSTALLED_APPS, "tests.browser.chatting"]  # noqa: F405
LANGUAGES = [*LANGUAGES, ("ar", "Arabic")]  # noqa: F405
LINGSTREAM = {**LINGSTREAM, "HEARTBEAT_EVERY": 0.5}  # noqa: F405  (so often it looks for what is due)
MIDDLEWARE = [f"{__name__}.Policy", *MIDDLEWARE[1:]]  # noqa: F405


class Policy(Strict):
    """Forms may be sent to the site."""

    policy = STRICTEST.replace("form-action 'none'", "form-action 'self'")
