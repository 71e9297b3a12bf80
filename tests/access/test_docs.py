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
from lingstream.access.visitors import digest_of, make_visitor_token, new_visitor
from lingstream.core.exceptions import ConfigurationError
from lingstream.models import Run

TEXT = (Path(__file__).parents[2] / "docs" / "access.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def run(word: str, **names: Any) -> dict[str, Any]:
    """Execute the block with this word in it."""
    (block,) = [each for each in BLOCKS if word in each]
    exec(block, names)
    return names


@pytest.mark.django_db
def test_the_tenants() -> None:
    tenant_of = run("def tenant_of")["tenant_of"]
    user = User.objects.create(username="ann")
    user.groups.add(Group.objects.create(name="acme"))
    assert tenant_of(SimpleNamespace(user=user, host="acme.example.com")) == "acme"
    with pytest.raises(PermissionDenied):
        tenant_of(SimpleNamespace(user=user, host="other.example.com"))


@pytest.mark.django_db
def test_the_claim_of_a_visitor() -> None:
    user, visitor = User.objects.create(username="ann"), new_visitor()
    row = Run.objects.create(workflow="w", visitor=digest_of(visitor))
    run("import claim", user=user, token=make_visitor_token(visitor))
    row.refresh_from_db()
    assert row.owner == user


def test_the_hosts() -> None:
    guard = Guard(run("ALLOW_HOSTS")["LINGSTREAM"]["ALLOW_HOSTS"])
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
