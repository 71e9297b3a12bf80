"""Who may do what, in which tenant, by which transport: one table, asked everywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User

from lingstream.access.identity import Identity
from lingstream.access.tokens import make_share, make_token
from lingstream.core.engine import registry
from lingstream.models import Run, Workflow

from .. import site as sites
from ..site import Site
from .tenants import Caller

NO = "forbidden"
_ENDED = {"workflow": "w", "status": "finished", "epoch": 1, "log_id": "1-9", "scope": "a", "document": {}}
TENANTS = ("a", "b", "all")

# (read, cancel) of a run in the tenant "a", asked in "a", in "b", and in "all", which is for superusers only.
RUNS: dict[str, tuple[tuple[str, str], tuple[str, str], tuple[str, str]]] = {
    "owner": (("ok", "ok"), (NO, NO), (NO, NO)),
    "its session": (("ok", "ok"), (NO, NO), (NO, NO)),
    "token": (("ok", "ok"), (NO, NO), (NO, NO)),
    "share": (("ok", NO), (NO, NO), (NO, NO)),
    "another's token": ((NO, NO), (NO, NO), (NO, NO)),
    "forged token": ((NO, NO), (NO, NO), (NO, NO)),
    "owner, forged token": (("ok", "ok"), (NO, NO), (NO, NO)),
    "its session, another's token": (("ok", "ok"), (NO, NO), (NO, NO)),
    "owner, share": (("ok", "ok"), (NO, NO), (NO, NO)),
    "stranger, forged token": ((NO, NO), (NO, NO), (NO, NO)),
    "stranger": ((NO, NO), (NO, NO), (NO, NO)),
    "another session": ((NO, NO), (NO, NO), (NO, NO)),
    "nobody": ((NO, NO), (NO, NO), (NO, NO)),
    "view_run": (("ok", NO), (NO, NO), (NO, NO)),
    "cancel_run": ((NO, "ok"), (NO, NO), (NO, NO)),
    "superuser": (("ok", "ok"), (NO, NO), ("ok", "ok")),
}
# Who may start what, by the transport that does not matter: the workflow's word, and who asks.
STARTS: dict[str, dict[str, str]] = {
    "row: anyone": {"nobody": "ok", "signed in": "ok", "start_workflow": "ok"},
    "row: authenticated": {"nobody": NO, "signed in": "ok", "start_workflow": "ok"},
    "row: permission": {"nobody": NO, "signed in": NO, "start_workflow": "ok"},
    "row: new": {"nobody": NO, "signed in": "ok", "start_workflow": "ok"},
    "python: anyone": {"nobody": "ok", "signed in": "ok", "start_workflow": "ok"},
    "python: permission": {"nobody": NO, "signed in": NO, "start_workflow": "ok"},
    "python: nothing": {"nobody": NO, "signed in": "ok", "start_workflow": "ok"},
    "python: code": {"nobody": NO, "signed in": NO, "start_workflow": NO},
    "python: code, row: anyone": {"nobody": NO, "signed in": NO, "start_workflow": NO},
}


@pytest.fixture
def tenants(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": "tests.access.tenants.tenant"}


async def user(name: str, *permissions: str, **fields: Any) -> User:
    made = await User.objects.acreate_user(name, password="pw", **fields)
    async for permission in Permission.objects.filter(codename__in=permissions):
        await made.user_permissions.aadd(permission)
    return made


async def ended(**columns: Any) -> Run:
    return await Run.objects.acreate(**{**_ENDED, **columns})


async def people() -> dict[str, tuple[Caller, Run]]:
    """Everybody in the table, with the run that they ask for."""
    for name in ("a", "b"):
        await Group.objects.acreate(name=name)
    owner = await user("owner")
    run = await ended(owner=owner)
    visitor = await Caller.with_session()
    visited = await ended(session_key=Identity.of(None, visitor.session_key).session)
    shown = {
        "token": make_token(run.pk),
        "share": make_share(run.pk),
        "another's token": make_token(visited.pk),
        "forged token": make_token(run.pk) + "x",
    }
    users = {
        "owner": owner,
        "stranger": await user("stranger"),
        "view_run": await user("view_run", "view_run"),
        "cancel_run": await user("cancel_run", "cancel_run"),
        "superuser": await user("superuser", is_superuser=True),
    }
    found = {name: (await Caller.signed_in(each), run) for name, each in users.items()}
    found |= {name: (Caller(token=token), run) for name, token in shown.items()}
    found |= {"its session": (visitor, visited), "another session": (await Caller.with_session(), visited)}
    for name in ("owner", "stranger"):
        found[f"{name}, forged token"] = (replace(found[name][0], token=shown["forged token"]), run)
    found["owner, share"] = (replace(found["owner"][0], token=shown["share"]), run)
    found["its session, another's token"] = (replace(visitor, token=shown["token"]), visited)
    return {**found, "nobody": (Caller(), run)}


async def test_runs_by_http(site: Site, tenants: None) -> None:
    everybody = await people()
    assert set(everybody) == set(RUNS)
    found = {}
    for name, (caller, run) in everybody.items():
        found[name] = tuple(
            [
                (
                    await caller.get(site, f"/ling/runs/{run.pk}/", f"{tenant}.example"),
                    await caller.post(site, f"/ling/runs/{run.pk}/cancel/", f"{tenant}.example"),
                )
                for tenant in TENANTS
            ]
        )
    assert found == RUNS


async def test_runs_by_sse(site: Site, tenants: None) -> None:
    for name, (caller, run) in (await people()).items():
        for tenant, (read, _) in zip(TENANTS, RUNS[name], strict=True):
            url = f"/ling/runs/{run.pk}/events/"
            assert await caller.get(site, url, f"{tenant}.example") == read, (name, tenant)


async def test_many_runs_over_one_response(site: Site, tenants: None) -> None:
    for name, (caller, run) in (await people()).items():
        for tenant, (read, _) in zip(TENANTS, RUNS[name], strict=True):
            for wait in (None, 5):
                assert await caller.follow(site, run, f"{tenant}.example", wait) == read, (name, tenant, wait)


async def test_runs_by_socket(site: Site, tenants: None) -> None:
    found = {}
    for name, (caller, run) in (await people()).items():
        found[name] = tuple(
            [
                (
                    await caller.say(f"{tenant}.example", type="subscribe", run=str(run.pk)),
                    await caller.say(f"{tenant}.example", type="cancel", run=str(run.pk)),
                )
                for tenant in TENANTS
            ]
        )
    assert found == RUNS


async def test_a_url_takes_the_share_only(site: Site) -> None:
    run = await ended(scope="")
    for path in ("", "events/"):
        url = f"/ling/runs/{run.pk}/{path}?token="
        assert await Caller().get(site, url + make_share(run.pk)) == "ok"
        for wrong in (make_token(run.pk), make_share(1), make_share(run.pk) + "x", "x"):
            assert await Caller().get(site, url + wrong) == NO
    assert await Caller().post(site, f"/ling/runs/{run.pk}/cancel/?token={make_share(run.pk)}") == NO


async def test_a_token_has_its_time(site: Site, settings: Any) -> None:
    run = await ended(scope="")
    settings.LINGSTREAM = {**settings.LINGSTREAM, "TOKEN_MAX_AGE": -1}
    for make in (make_token, make_share):
        assert await Caller(token=make(run.pk)).get(site, f"/ling/runs/{run.pk}/") == NO


async def test_a_share_that_opened_a_run_on_a_socket_does_not_cancel_it_there(site: Site) -> None:
    run = await ended(scope="")
    async with site.socket() as socket:
        await socket.send(type="subscribe", run=str(run.pk), token=make_share(run.pk))
        await socket.until("done")
        await socket.send(type="cancel", run=str(run.pk))
        assert (await socket.until("error"))["error"]["code"] == NO
        await socket.send(type="subscribe", run=str(run.pk))
        await socket.until("done")
        await socket.send(type="cancel", run=str(run.pk), token=make_token(run.pk))
        await socket.send(type="ping")
        assert await socket.receive() == {"type": "pong"}


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workflows in Python of this test only."""
    monkeypatch.setattr(registry, "_functions", dict(registry._functions))
    monkeypatch.setattr(registry, "_declared", dict(registry._declared))
    said = {"anyone": "anyone", "permission": "permission", "nothing": "", "code": "code"}
    for slug, access in {**said, "code-row-anyone": "code"}.items():

        @registry.workflow(f"python-{slug}", access=access)
        async def nothing(run: Any) -> None:
            run.set("", {})

        nothing.__qualname__ = slug  # or the next registration would be of the same function


async def test_starts_by_both_transports(site: Site, functions: None) -> None:
    await site.workflow("row-new", a="A")
    await Workflow.objects.filter(slug="row-new").aupdate(access=Workflow(slug="x").access)
    for access in ("anyone", "authenticated", "permission"):
        await site.workflow(f"row-{access}", a="A")
        await Workflow.objects.filter(slug=f"row-{access}").aupdate(access=access)
    await site.workflow("python-code-row-anyone", a="A")
    await Workflow.objects.filter(slug="python-code-row-anyone").aupdate(access="anyone")
    sites.answers = '{"a": "b"}'
    callers = {
        "nobody": Caller(),
        "signed in": await Caller.signed_in(await user("ann")),
        "start_workflow": await Caller.signed_in(await user("bob", "start_workflow")),
    }
    for transport in ("http", "socket"):
        found: dict[str, dict[str, str]] = {}
        for workflow in STARTS:
            slug = workflow.replace(": ", "-").replace(", ", "-")
            for name, caller in callers.items():
                if transport == "http":
                    code = await caller.post(
                        site, f"/ling/workflows/{slug}/runs/", body={"input": sites.QUESTION}
                    )
                else:
                    code = await caller.say("localhost", type="start", workflow=slug, input=sites.QUESTION)
                found.setdefault(workflow, {})[name] = code
        assert found == STARTS, transport


@pytest.mark.parametrize(
    ("default", "expected"),
    [("anyone", "ok"), ("authenticated", NO), ("permission", NO), ("nonsense", NO)],
)
async def test_the_default_is_the_sites(
    site: Site, settings: Any, functions: None, default: str, expected: str
) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "DEFAULT_ACCESS": default}
    body = {"input": {}}
    assert await Caller().post(site, "/ling/workflows/python-nothing/runs/", body=body) == expected
    assert await Caller().post(site, "/ling/workflows/no-such-one/runs/", body=body) == "unknown-workflow"
