"""The demo under the strictest policy, whose documentation is a folder that the test writes."""

from __future__ import annotations

import os

from .strict import *  # noqa: F403
from .strict import LINGSTREAM as STRICTEST

LINGSTREAM = {**STRICTEST, "KNOWLEDGE_ROOTS": [os.environ["LIBRARY_FOLDER"]], "HEARTBEAT_EVERY": 0.5}
