"""What docs/access.md shows does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied

from lingstream.access.network import Guard
from lingstream.access.policy import default_access, parse_rate
from lingstream.core.exceptions import ConfigurationError

TEXT = (Path(__file__).parents[2] / "docs" / "access.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def run(block: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(block, names)
    return names


@pytest.mark.django_db
def test_the_tenants() -> None:
    tenant_of = run(BLOCKS[0])["tenant_of"]
    user = User.objects.create(username="ann")
    user.groups.add(Group.objects.create(name="acme"))
    assert tenant_of(SimpleNamespace(user=user, host="acme.example.com")) == "acme"
    with pytest.raises(PermissionDenied):
        tenant_of(SimpleNamespace(user=user, host="other.example.com"))


def test_the_hosts() -> None:
    guard = Guard(run(BLOCKS[2])["LINGSTREAM"]["ALLOW_HOSTS"])
    for host, port in (("localhost", 11434), ("vllm.internal", 8000), ("10.0.0.7", 9), ("fd00::7", 8000)):
        assert guard.allows(host, port)


def test_a_workflow_that_says_nothing_is_for_signed_in_users(settings: Any) -> None:
    settings.LINGSTREAM = {}
    assert default_access() == "authenticated"


def test_rates() -> None:
    assert parse_rate("5/h") == (5, 3600)
    assert parse_rate("") is None
    for wrong in ("5", "5/y", "-5/m", "0/m", "5 / m", "1e3/s"):
        with pytest.raises(ConfigurationError):
            parse_rate(wrong)
