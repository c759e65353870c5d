"""The admin site over HTTP, on every engine: who may do what there, and that it obeys the rules of the API."""

import base64
import csv
import io
import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from litestar import Litestar
from litestar.testing import TestClient

from apps.accounts.passwords import MOST_TYPED
from apps.accounts.services import MOST_TOKENS, UserService
from project.admin.site import MOST_FORM
from project.admin.views import MOST_AT_ONCE
from project.asgi import create_app
from project.audit import sealing
from project.audit.models import AuditEntry
from project.callers import Role
from project.settings import load
from tests.clients import serving
from tests.people import PASSWORD, Form, Person, add_tokens, add_user, change_user, errors, text
from tests.processes import until
from tests.units import Desk

Client = TestClient[Litestar]

PAGES = (
    "/admin",
    "/admin/",
    "/admin/students",
    "/admin/students/new",
    "/admin/students/1",
    "/admin/students/1/edit",
    "/admin/students/export",
    "/admin/students/import",
    "/admin/users",
    "/admin/-/activity",
    "/admin/-/search?q=an",
)

DATA = {"name": "Ananya", "department": "CSE", "cgpa": 8.9}


@pytest.fixture
def person(client: Client) -> Callable[[Role], Person]:
    """Given a role, somebody who is signed in and has it."""

    def arrive(role: Role) -> Person:
        add_user(client, role, role)
        someone = Person(client)
        assert someone.sign_in(role).status_code == 303
        return someone

    return arrive


@pytest.fixture
def admin(person: Callable[[Role], Person]) -> Person:
    return person("admin")


@pytest.fixture
def editor(person: Callable[[Role], Person]) -> Person:
    return person("editor")


@pytest.fixture
def viewer(person: Callable[[Role], Person]) -> Person:
    return person("viewer")


def students(client: Client, **parameters: Any) -> list[dict[str, Any]]:
    """What the API has, all in one page."""
    items: list[dict[str, Any]] = client.get("/students", params={"limit": 100, **parameters}).json()["items"]
    return items


def create(client: Client, **values: Any) -> dict[str, Any]:
    response = client.post("/students", json={**DATA, **values})
    assert response.status_code == 201, response.text
    student: dict[str, Any] = response.json()
    return student


def create_many(client: Client) -> None:
    """Sixty, of whom many have the same name, department or grade."""
    rows = [(f"{number % 7}ä", "ABC"[number % 3], number % 5) for number in range(60)]
    batch = [{"name": name, "department": department, "cgpa": cgpa} for name, department, cgpa in rows]
    assert client.post("/students/batch", json=batch).status_code == 201


def trail(client: Client) -> list[tuple[str, str, str, str]]:
    """Who did what to which student, and by which way, in order of its time."""
    database = client.app.state.database
    columns = (AuditEntry.actor, AuditEntry.channel, AuditEntry.action, AuditEntry.key)
    select = sa.select(*columns).where(AuditEntry.record == "students.student").order_by(AuditEntry.id)

    async def read() -> list[tuple[str, str, str, str]]:
        await sealing.seal(database)
        rows = await database.read(Desk, lambda desk: desk.look(select))
        return [(actor, channel, action, key) for actor, channel, action, key in rows]

    return client.blocking_portal.call(read)


def keys(page: str) -> list[int]:
    """The ids of the records in a list."""
    return [int(key) for key in dict.fromkeys(re.findall(r'href="/admin/\w+/(\d+)"', page))]


def link(page: str, parameter: str) -> str:
    """The path of the page after or before this one of a list; empty where there is none."""
    matched = re.search(rf'href="(/admin/students\?[^"]*{parameter}=[^"]*)"', page)
    return matched[1].replace("&amp;", "&") if matched else ""


def cursor(*values: Any) -> str:
    """As the links of the lists have it."""
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def walk(someone: Person, sort: str, filters: str = "") -> list[int]:
    """The ids on all pages of the list."""
    found = []
    path = f"/admin/students?sort={sort}&size=25{filters}"
    while path:
        page = someone.get(path).text
        found += keys(page)
        path = link(page, "after")
    return found


class TestSignIn:
    @pytest.mark.parametrize("path", PAGES)
    @pytest.mark.engines("sqlite")
    def test_comes_before_every_page(self, client: Client, path: str) -> None:
        response = Person(client).get(path)
        assert (response.status_code, response.headers["location"]) == (303, "/admin/login")

    @pytest.mark.parametrize("path", ["students/new", "students/1/edit", "students/1/delete", "students/import"])
    @pytest.mark.engines("sqlite")
    def test_comes_before_every_change(self, client: Client, path: str) -> None:
        someone = Person(client)
        someone.get("/admin/login")
        student = create(client)
        path = path.replace("1", str(student["id"]))
        assert someone.post(f"/admin/{path}", {**DATA}).headers["location"] == "/admin/login"
        assert students(client) == [student]

    def test_lets_in_who_knows_the_password(self, client: Client) -> None:
        add_user(client, "ananya", "viewer")
        someone = Person(client)
        response = someone.sign_in("Ananya")
        assert (response.status_code, response.headers["location"]) == (303, "/admin/")
        assert "ananya" in text(someone.get("/admin/").text)

    def test_answers_alike_whatever_is_wrong(self, client: Client) -> None:
        add_user(client, "ananya", "viewer")
        add_user(client, "gone", "viewer")
        close(client, "gone")
        answers = {
            (response.status_code, text(response.text).replace(name, ""))
            for name, password in (("ananya", "wrong"), ("nobody", PASSWORD), ("gone", PASSWORD), ("", ""))
            for response in (Person(client).sign_in(name, password),)
        }
        assert len(answers) == 1
        assert next(iter(answers))[0] == 401

    @pytest.mark.engines("sqlite")
    def test_is_refused_for_a_while_after_many_guesses(self, client: Client) -> None:
        add_user(client, "ananya", "viewer")
        responses = [Person(client).sign_in("ananya", f"guess {number}") for number in range(7)]
        last = responses[-1]
        assert last.status_code == 429
        assert int(last.headers["retry-after"]) > 0
        assert Person(client).sign_in("ananya").status_code == 429

    def test_wants_the_form_that_it_gave(self, client: Client) -> None:
        add_user(client, "ananya", "viewer")
        someone = Person(client)
        someone.get("/admin/login")
        forged = {"_csrf": "forged", "username": "ananya", "password": PASSWORD}
        assert someone.post("/admin/login", forged).status_code == 403
        assert someone.get("/admin/").status_code == 303

    @pytest.mark.parametrize("path", ["login", "students/new", "students/1/edit", "students/import"])
    def test_takes_no_forged_form_whatever_its_token_is(self, client: Client, editor: Person, path: str) -> None:
        create(client)
        for fields, headers in (({"_csrf": "é"}, {}), ({"_csrf": ""}, {"x-csrf-token": "é".encode()})):
            response = editor.post(f"/admin/{path}", fields, headers=headers)
            assert response.status_code == 403, response.text

    def test_ends_the_session_that_the_browser_had(self, client: Client, viewer: Person) -> None:
        earlier = Person(client)
        earlier.cookie = viewer.cookie
        assert viewer.sign_in("viewer").status_code == 303
        assert viewer.get("/admin/").status_code == 200
        assert earlier.get("/admin/").status_code == 303

    def test_ends_the_oldest_session_of_too_many(self, client: Client, viewer: Person, admin: Person) -> None:
        number = user_id(client, "viewer")
        second = Person(client)
        second.sign_in("viewer")
        add_tokens(client, number, MOST_TOKENS - 2, kind="session", role="admin")
        assert viewer.get("/admin/").status_code == 200
        assert Person(client).sign_in("viewer").status_code == 303
        assert viewer.get("/admin/").status_code == 303
        assert second.get("/admin/").status_code == 200
        assert admin.get("/admin/").status_code == 200

    @pytest.mark.engines("sqlite")
    def test_looks_at_no_password_without_end(self, client: Client) -> None:
        add_user(client, "ananya", "viewer")
        assert Person(client).sign_in("ananya", PASSWORD + " " * MOST_TYPED).status_code == 401

    def test_gives_nothing_away_to_scripts_or_other_sites(self, client: Client) -> None:
        add_user(client, "ananya", "viewer")
        attributes = Person(client).sign_in("ananya").headers["set-cookie"].lower().split("; ")
        assert {"httponly", "samesite=lax", "path=/admin"} <= set(attributes)
        assert "secure" not in attributes

    @pytest.mark.engines("sqlite")
    def test_outside_debug_travels_encrypted_only(self, new_database: Callable[[str], str]) -> None:
        settings = load(
            {"DATABASE_URL": new_database("sqlite"), "DEBUG": "false", "SECRET_KEY": "x" * 50, "ALLOWED_HOSTS": "*"}
        )
        with serving(settings) as client:
            add_user(client, "ananya", "viewer")
            assert "secure" in Person(client).sign_in("ananya").headers["set-cookie"].lower().split("; ")

    def test_ends_with_signing_out_for_whoever_has_the_cookie(self, viewer: Person) -> None:
        stolen = viewer.cookie
        assert viewer.post("/admin/logout").headers["location"] == "/admin/login"
        assert viewer.get("/admin/").status_code == 303
        viewer.cookie = stolen
        assert viewer.get("/admin/").status_code == 303

    def test_ends_when_the_password_changes(self, client: Client, admin: Person, viewer: Person) -> None:
        number = user_id(client, "viewer")
        assert admin.edit(f"/admin/users/{number}/edit", new_password="another long one").status_code == 303
        assert viewer.get("/admin/").status_code == 303
        assert viewer.sign_in("viewer").status_code == 401
        assert viewer.sign_in("viewer", "another long one").status_code == 303

    def test_changes_ones_own_password_and_ends_all_other_sessions(self, client: Client, viewer: Person) -> None:
        elsewhere = Person(client)
        elsewhere.sign_in("viewer")
        viewer.get("/admin/-/password")
        new = {"new": "another long one", "repeat": "another long one"}
        assert viewer.post("/admin/-/password", {"current": "wrong", **new}).status_code == 422
        common = {"current": PASSWORD, "new": "password", "repeat": "password"}
        assert "Is too common" in text(viewer.post("/admin/-/password", common).text)
        assert viewer.post("/admin/-/password", {"current": PASSWORD, **new}).status_code == 303
        assert viewer.get("/admin/").status_code == 200
        assert elsewhere.get("/admin/").status_code == 303
        assert elsewhere.sign_in("viewer").status_code == 401
        assert elsewhere.sign_in("viewer", "another long one").status_code == 303

    def test_ends_when_the_account_is_closed(self, client: Client, admin: Person, viewer: Person) -> None:
        assert admin.run("users", "close", user_id(client, "viewer")).status_code == 303
        assert viewer.get("/admin/").status_code == 303

    def test_goes_as_far_as_the_role_of_the_moment(self, client: Client, admin: Person, editor: Person) -> None:
        assert editor.get("/admin/students/new").status_code == 200
        assert admin.edit(f"/admin/users/{user_id(client, 'editor')}/edit", role="viewer").status_code == 303
        assert editor.get("/admin/students").status_code == 200
        assert editor.get("/admin/students/new").status_code == 403


def user_id(client: Client, username: str) -> int:
    database = client.app.state.database

    async def work(users: UserService) -> int:
        return (await users.named(username)).id

    number: int = client.blocking_portal.call(database.read, UserService, work)
    return number


def close(client: Client, username: str) -> None:
    change_user(client, user_id(client, username), is_active=False)


class TestRoles:
    def test_viewer_reads_and_changes_nothing(self, client: Client, viewer: Person) -> None:
        student = create(client)
        path = f"/admin/students/{student['id']}"
        for page in ("/admin/", "/admin/students", path, "/admin/students/export"):
            assert viewer.get(page).status_code == 200, page
        for page in ("/admin/students/new", f"{path}/edit", "/admin/students/import"):
            assert viewer.get(page).status_code == 403, page
        for page in (
            "/admin/students/new",
            f"{path}/edit",
            f"{path}/delete",
            "/admin/students/import",
            "/admin/students/action/move",
            "/admin/students/action/delete_selected",
        ):
            fields = {**DATA, "name": "Other", "keys": str(student["id"])}
            assert viewer.post(page, fields).status_code == 403, page
        assert students(client) == [student]

    @pytest.mark.parametrize("role", ["viewer", "editor"])
    def test_accounts_and_the_audit_trail_are_for_admins(
        self, client: Client, person: Callable[[Role], Person], role: Role
    ) -> None:
        someone = person(role)
        student = create(client)
        for page in ("/admin/users", "/admin/users/new", "/admin/users/export", "/admin/-/activity"):
            assert someone.get(page).status_code == 403, page
        assert someone.post("/admin/users/new", {"username": "x", "role": "admin"}).status_code == 403
        assert someone.post(f"/admin/users/{user_id(client, role)}/edit", {"role": "admin"}).status_code == 403
        assert "History" not in text(someone.get(f"/admin/students/{student['id']}").text)
        assert "Latest changes" not in text(someone.get("/admin/").text)

    def test_pages_that_are_not_there_are_not_there(self, admin: Person) -> None:
        for page in ("/admin/nothing", "/admin/students/999", "/admin/students/one", "/admin/-/nothing"):
            assert admin.get(page).status_code == 404, page
        assert admin.get("/administrators").headers["content-type"] == "application/problem+json"


class TestCreate:
    def test_makes_what_the_api_makes(self, client: Client, editor: Person) -> None:
        response = editor.post("/admin/students/new", {**DATA, "name": "  Straße  "})
        [student] = students(client, q="STRASSE")
        assert response.headers["location"] == f"/admin/students/{student['id']}"
        assert (student["name"], student["department"], student["cgpa"]) == ("  Straße  ", "CSE", 8.9)
        assert trail(client) == [("editor", "admin", "create", str(student["id"]))]

    @pytest.mark.parametrize(
        "values",
        [
            {"name": "", "department": " ", "cgpa": "11"},
            {"name": "x" * 201, "department": "x" * 101, "cgpa": "-0.1"},
            {"cgpa": "nan"},
            {"cgpa": "1e400"},
            {"name": "a\x00b"},
            {"name": "a\x7f", "department": "\u200b\u0085"},
        ],
    )
    @pytest.mark.engines("sqlite")
    def test_refuses_what_the_api_refuses_in_its_words(
        self, client: Client, editor: Person, values: dict[str, str]
    ) -> None:
        response = editor.post("/admin/students/new", {**DATA, **values})
        assert response.status_code == 422
        sent = {**DATA, **values, **({"cgpa": number(values["cgpa"])} if "cgpa" in values else {})}
        answer = client.post("/students", json=sent) if sent["cgpa"] is not None else None
        shown = errors(response.text)
        assert shown.keys() == values.keys()
        for problem in answer.json()["errors"] if answer is not None else ():
            detail = problem["detail"]
            assert shown[problem["pointer"][1:]] == f"{detail[0].upper()}{detail[1:]}."
        assert students(client) == []

    @pytest.mark.engines("sqlite")
    def test_keeps_what_was_typed(self, editor: Person) -> None:
        page = editor.post("/admin/students/new", {"name": "Ananya", "department": "CSE", "cgpa": "eleven"}).text
        assert Form(page, "record-form").values.items() >= {"name": "Ananya", "cgpa": "eleven"}.items()

    def test_wants_the_form_that_it_gave(self, client: Client, editor: Person) -> None:
        assert editor.post("/admin/students/new", {**DATA, "_csrf": "forged"}).status_code == 403
        assert students(client) == []

    def test_takes_no_form_without_end(self, client: Client, editor: Person) -> None:
        assert editor.post("/admin/students/new", {**DATA, "name": "x" * MOST_FORM}).status_code == 413
        assert students(client) == []


def number(text: str) -> float | None:
    """As JSON would have it; None for what it cannot say."""
    return None if text in ("nan", "1e400") else float(text)


class TestEdit:
    def test_changes_what_the_api_changes(self, client: Client, editor: Person) -> None:
        before = create(client)
        assert editor.edit(f"/admin/students/{before['id']}/edit", name="Änanya", cgpa="9.25").status_code == 303
        [after] = students(client, q="ÄNAN")
        assert after == {**before, "name": "Änanya", "cgpa": 9.25, "updated_at": after["updated_at"]}
        assert after["updated_at"] > before["updated_at"]
        assert trail(client)[-1] == ("editor", "admin", "update", str(before["id"]))

    def test_of_nothing_changes_nothing(self, client: Client, editor: Person) -> None:
        before = create(client)
        assert editor.edit(f"/admin/students/{before['id']}/edit").status_code == 303
        assert students(client) == [before]
        assert len(trail(client)) == 1

    def test_refuses_what_the_api_refuses(self, client: Client, editor: Person) -> None:
        before = create(client)
        response = editor.edit(f"/admin/students/{before['id']}/edit", name=" ", cgpa="10.5")
        assert response.status_code == 422
        assert errors(response.text).keys() == {"name", "cgpa"}
        assert students(client) == [before]

    def test_overwrites_nobody_who_was_faster(self, client: Client, editor: Person) -> None:
        student = create(client)
        path = f"/admin/students/{student['id']}/edit"
        form = Form(editor.get(path).text, "record-form").values
        client.patch(f"/students/{student['id']}", json={"department": "Law"})
        response = editor.post(path, {**form, "name": "Other"})
        assert response.status_code == 422
        assert "Somebody changed this record" in text(response.text)
        assert [(item["name"], item["department"]) for item in students(client)] == [("Ananya", "Law")]

    def test_reads_no_field_that_the_form_does_not_have(self, client: Client, editor: Person) -> None:
        before = create(client)
        fields = {"id": "77", "created_at": "2020-01-01T00:00", "name_folded": "other", "name": "Other"}
        assert editor.edit(f"/admin/students/{before['id']}/edit", **fields).status_code == 303
        [after] = students(client, q="other")
        assert (after["id"], after["created_at"]) == (before["id"], before["created_at"])


class TestDelete:
    def test_takes_the_record_away(self, client: Client, editor: Person) -> None:
        student = create(client)
        assert editor.post(f"/admin/students/{student['id']}/delete").status_code == 303
        assert students(client) == []
        assert trail(client)[-1] == ("editor", "admin", "delete", str(student["id"]))
        assert editor.post(f"/admin/students/{student['id']}/delete").status_code == 404


class TestActions:
    def test_change_each_record_as_the_api_does(self, client: Client, editor: Person) -> None:
        first, second, third = (create(client, name=name) for name in ("a", "b", "c"))
        assert editor.run("students", "move", first["id"], third["id"], department="Law").status_code == 303
        assert "2 moved to Law." in editor.said()
        after = students(client)
        assert [item["department"] for item in after] == ["Law", "CSE", "Law"]
        assert after[1] == second
        assert after[0]["updated_at"] > first["updated_at"]
        assert trail(client)[3:] == [("editor", "admin", "update", str(student["id"])) for student in (first, third)]

    def test_that_are_refused_once_change_nothing(self, client: Client, editor: Person) -> None:
        before = [create(client, name=name) for name in ("a", "b")]
        editor.run("students", "move", *(student["id"] for student in before), department="x" * 101)
        assert "Must have at most 100 characters." in editor.said()
        assert students(client) == before

    def test_run_on_all_that_a_filter_lets_through(self, client: Client, editor: Person) -> None:
        for name, department in (("a", "CSE"), ("b", "ECE"), ("c", "CSE")):
            create(client, name=name, department=department)
        editor.run("students", "delete_selected", query="?department=CSE")
        assert [student["name"] for student in students(client)] == ["b"]
        assert [entry[:3] for entry in trail(client)[3:]] == [("editor", "admin", "delete")] * 2

    def test_take_so_many_records_at_once_and_no_more(self, client: Client, editor: Person) -> None:
        lines = "".join(f"n{number},CSE,5\n" for number in range(MOST_AT_ONCE + 1))
        body = f"name,department,cgpa\n{lines}"
        client.post("/students/import", content=body, headers={"content-type": "text/csv"})
        editor.run("students", "delete_selected")
        assert "narrow the list" in editor.said()
        assert client.get("/students?count=true").json()["total"] == MOST_AT_ONCE + 1
        editor.run("students", "delete_selected", query="?q=n10")
        assert client.get("/students?count=true&q=n10").json()["total"] == 0


class TestLists:
    def test_have_each_record_once_in_the_order_of_the_api(self, client: Client, viewer: Person) -> None:
        create_many(client)
        for name in ("id", "name", "department", "cgpa", "created_at", "updated_at"):
            for sort in (name, f"-{name}"):
                assert walk(viewer, sort) == [student["id"] for student in students(client, sort=sort)], sort

    @pytest.mark.parametrize("departments", [["A"], ["A", "B"]])
    def test_go_on_within_what_a_filter_lets_through(
        self, client: Client, viewer: Person, departments: list[str]
    ) -> None:
        create_many(client)
        filters = "".join(f"&department={department}" for department in departments)
        for sort in ("department", "-department", "cgpa", "-cgpa"):
            expected = [student["id"] for student in students(client, sort=sort, department=departments)]
            assert walk(viewer, sort, filters) == expected, sort

    @pytest.mark.parametrize("term", ["ä", "1Ä", "nobody"])
    def test_go_on_with_what_a_search_finds(self, client: Client, viewer: Person, term: str) -> None:
        create_many(client)
        for sort in ("id", "-id", "name", "-name", "department", "-department", "cgpa", "-cgpa", "-updated_at"):
            expected = [student["id"] for student in students(client, sort=sort, q=term)]
            assert walk(viewer, sort, f"&q={term}") == expected, sort

    def test_lead_back_the_way_they_came(self, client: Client, viewer: Person) -> None:
        create_many(client)
        for query in ("sort=cgpa", "sort=-cgpa", "sort=-id", "sort=-cgpa&q=ä"):
            pages = [viewer.get(f"/admin/students?{query}&size=25").text]
            while path := link(pages[-1], "after"):
                pages.append(viewer.get(path).text)
            assert len(pages) == 3
            for page, following in itertools.pairwise(pages):
                assert keys(viewer.get(link(following, "before")).text) == keys(page), query

    def test_filter_as_the_api_does(self, client: Client, viewer: Person) -> None:
        create(client, name="Ananya", department="CSE", cgpa=8)
        create(client, name="Arjun", department="ECE", cgpa=9.5)
        create(client, name="Anand", department="CSE", cgpa=9)
        create(client, name="x", department="Law", cgpa=2)
        for ours, theirs in (
            ("department=CSE&department=Law", {"department": ["CSE", "Law"]}),
            ("cgpa=8.5,", {"cgpa_min": 8.5}),
            ("cgpa=,9", {"cgpa_max": 9}),
            ("cgpa=3,9&department=CSE", {"cgpa_min": 3, "cgpa_max": 9, "department": "CSE"}),
            ("q=AN", {"q": "AN"}),
            ("q=%25", {"q": "%"}),
        ):
            expected = [student["id"] for student in students(client, sort="-id", **theirs)]
            assert keys(viewer.get(f"/admin/students?{ours}").text) == expected, ours

    def test_count_what_they_have(self, client: Client, viewer: Person) -> None:
        for name in "abc":
            create(client, name=name)
        headers = {"hx-request": "true", "hx-trigger": "records-counter"}
        assert "3" in text(viewer.get("/admin/students", **headers).text)
        assert "1" in text(viewer.get("/admin/students?q=b", **headers).text)

    def test_ask_for_no_count_of_what_fits_into_one_page(self, client: Client, viewer: Person) -> None:
        """What was searched once for the rows is not searched again for their number."""
        create_many(client)
        assert 'id="records-counter"' in viewer.get("/admin/students?size=25").text
        for query, told in (("q=nobody", "0 students"), ("q=6ä", "8 students"), ("size=100", "60 students")):
            page = viewer.get(f"/admin/students?{query}").text
            assert 'id="records-counter"' not in page
            assert told in text(page), query

    def test_pass_over_what_no_link_of_theirs_asks(self, client: Client, admin: Person) -> None:
        create(client)
        for path in (
            "students?after=zzz",
            "students?after=WyJ4Il0&sort=cgpa",
            "students?after=W251bGwsMV0&sort=cgpa",  # [null,1]
            "students?after=WyJ4Il0&sort=-updated_at",
            f"students?after={cursor('2026-01-01', 1)}&sort=-updated_at",
            f"students?after={cursor('0001-01-01T00:00:00+14:00', 1)}&sort=-updated_at",
            f"students?after={cursor(float('nan'), 1)}&sort=cgpa",
            f"students?after={cursor(1, 2**63)}&sort=cgpa",
            f"students?before={cursor(10**400, 1)}&sort=cgpa",
            f"students?after={base64.urlsafe_b64encode(b'[' * 10_000).decode()}",
            "students?page=99999999999&size=x&cols=zz",
            "students?sort=name_folded",
            "students?cgpa=a,b",
            "students?cgpa=1e999,",
            "students?updated_at=2026-13-01,x",
            "students?updated_at=0001-01-01,9999-12-31",
            "students?q=%00",
            "students?q=%F0%9F%8E%93%ED%A0%80",
            "students?department=%00",
            "students/9223372036854775808",
            "students/-1",
            "students/1,2",
            "students/%00",
            "users?sort=password",
            "users?role=king&is_active=maybe",
            "users?q=%00",
            "-/activity?since=x&until=0001-01-01&older=2026_1&record=%00",
            "-/activity?older=2026-01-01_1",
            "-/activity?older=0001-01-01T00:00:00%2B14:00_1",
            f"-/activity?older=2026-01-01T00:00:00%2B00:00_{2**63}",
            "-/activity?until=9999-12-31",
            "-/activity?user=%00",
            "-/search?q=%00%00",
            "students/export?department=%00&q=%00",
        ):
            response = admin.get(f"/admin/{path}")
            assert response.status_code in (200, 400, 404), f"{path}: {response.status_code} {text(response.text)}"

    def test_show_text_as_text(self, client: Client, viewer: Person) -> None:
        student = create(client, name="<script>alert(1)</script>")
        for page in ("/admin/students", f"/admin/students/{student['id']}", "/admin/"):
            assert "<script>alert" not in viewer.get(page).text, page


class TestExport:
    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [
            ("", {"sort": "-id"}),
            ("sort=name&department=CSE", {"sort": "name", "department": "CSE"}),
            ("q=an&sort=-cgpa&cgpa=5,10", {"sort": "-cgpa", "q": "an", "cgpa_min": 5, "cgpa_max": 10}),
        ],
    )
    def test_gives_the_same_file_as_the_api(
        self, client: Client, viewer: Person, ours: str, theirs: dict[str, Any]
    ) -> None:
        for name, department, cgpa in (("Ananya", "CSE", 8.1), ("=1+1", "CSE", 0.1), ('ä "q", an', "ECE", 9.9)):
            create(client, name=name, department=department, cgpa=cgpa)
        response = viewer.get(f"/admin/students/export?{ours}")
        assert response.status_code == 200
        assert response.headers["content-disposition"] == 'attachment; filename="students.csv"'
        assert response.content == client.get("/students/export", params=theirs).content

    def test_of_users_has_no_passwords(self, admin: Person) -> None:
        [row] = csv.DictReader(io.StringIO(admin.get("/admin/users/export").text))
        assert row.keys() == {"id", "username", "role", "is_active", "created_at", "updated_at"}
        assert row["username"] == "admin"


class TestImport:
    FILE = b"name,department,cgpa\nAnanya,CSE,8.9\n,CSE,11\nMeera,ECE,9\n"

    def test_keeps_what_is_valid_and_names_what_is_not(self, client: Client, editor: Person) -> None:
        page = text(self.send(editor).text)
        assert "2 created, 1 refused." in page
        assert "3 name must have at least 1 character" in page
        assert "3 cgpa must be at most 10" in page
        assert [student["name"] for student in students(client)] == ["Ananya", "Meera"]
        assert {entry[:2] for entry in trail(client)} == {("editor", "admin")}

    @pytest.mark.parametrize("option", ["dry_run", "atomic"])
    def test_keeps_nothing_where_that_is_wanted(self, client: Client, editor: Person, option: str) -> None:
        fields: dict[str, Any] = {option: "on"}
        assert self.send(editor, **fields).status_code == 200
        assert students(client) == []

    @pytest.mark.parametrize("file", [b"", b"nothing,known\n1,2\n", b"name,department,cgpa\n\xff,CSE,1\n"])
    @pytest.mark.engines("sqlite")
    def test_says_what_is_wrong_with_a_file(self, client: Client, editor: Person, file: bytes) -> None:
        response = self.send(editor, file)
        assert response.status_code == 422
        assert 'role="alert"' in response.text
        assert students(client) == []

    def test_takes_what_export_gives_and_more_than_a_form_may_hold(self, client: Client, editor: Person) -> None:
        for name in ("a", "b"):
            create(client, name=name)
        exported = editor.get("/admin/students/export").content
        assert "2 created, 0 refused." in text(self.send(editor, exported).text)
        long = b"name,department,cgpa\n" + b"x,CSE,1\n" * 2 + b"\n" * MOST_FORM
        assert "2 created, 0 refused." in text(self.send(editor, long).text)

    def test_wants_the_form_that_it_gave(self, client: Client, editor: Person) -> None:
        assert self.send(editor, _csrf="forged").status_code == 403
        assert students(client) == []

    def send(self, someone: Person, file: bytes = FILE, **fields: Any) -> Any:
        return someone.post("/admin/students/import", fields, files={"file": ("students.csv", file, "text/csv")})


class TestUsers:
    FIELDS = {"username": "Meera", "new_password": "a long enough one", "role": "editor", "is_active": "true"}  # noqa: RUF012

    def test_are_made_and_sign_in(self, client: Client, admin: Person) -> None:
        assert admin.post("/admin/users/new", self.FIELDS).status_code == 303
        assert Person(client).sign_in("meera", "a long enough one").status_code == 303

    @pytest.mark.parametrize(
        ("values", "fields"),
        [
            ({"username": "no blanks", "role": "king"}, {"username", "role"}),
            ({"new_password": ""}, {"new_password"}),
            ({"new_password": "short"}, {"new_password"}),
            ({"new_password": "password"}, {"new_password"}),
        ],
    )
    @pytest.mark.engines("sqlite")
    def test_are_refused_by_the_rules_of_accounts(
        self, admin: Person, values: dict[str, str], fields: set[str]
    ) -> None:
        response = admin.post("/admin/users/new", {**self.FIELDS, **values})
        assert response.status_code == 422
        assert errors(response.text).keys() == fields
        assert "meera" not in admin.get("/admin/users").text

    def test_have_names_of_their_own(self, admin: Person) -> None:
        response = admin.post("/admin/users/new", {**self.FIELDS, "username": "ADMIN"})
        assert response.status_code == 422
        assert "There is a user admin already." in text(response.text)

    def test_always_leave_an_admin(self, client: Client, admin: Person) -> None:
        number = user_id(client, "admin")
        assert admin.edit(f"/admin/users/{number}/edit", role="viewer").status_code == 422
        assert admin.run("users", "close", number).status_code == 303
        assert "last admin" in admin.said()
        admin.post(f"/admin/users/{number}/delete")
        assert "last admin" in admin.said()

    def test_keep_their_password_when_none_is_typed(self, client: Client, admin: Person, viewer: Person) -> None:
        admin.edit(f"/admin/users/{user_id(client, 'viewer')}/edit", role="editor")
        assert viewer.get("/admin/students/new").status_code == 200
        assert Person(client).sign_in("viewer").status_code == 303

    def test_show_no_password_anywhere(self, client: Client, admin: Person) -> None:
        number = user_id(client, "admin")
        for page in ("users", f"users/{number}", f"users/{number}/edit", "users/export", "-/activity"):
            assert "argon2" not in admin.get(f"/admin/{page}").text, page


class TestTokens:
    def test_are_seen_and_revoked_by_admins(self, client: Client, admin: Person, viewer: Person) -> None:
        answer = client.post("/auth/token", json={"username": "viewer", "password": PASSWORD, "name": "nightly"}).json()
        bearer = {"Authorization": f"Bearer {answer['access_token']}"}
        assert client.get("/auth/me", headers=bearer).json()["username"] == "viewer"
        page = text(admin.get("/admin/tokens").text)
        assert re.search(r"nightly\s+viewer\s+Token\s+viewer", page)
        assert re.search(r"Admin site\s+viewer\s+Session\s+admin", page)
        assert admin.post(f"/admin/tokens/{answer['id']}/delete").status_code == 303
        assert client.get("/auth/me", headers=bearer).status_code == 401
        sessions = [key for key in keys(admin.get("/admin/tokens").text) if key != answer["id"]]
        admin.run("tokens", "delete_selected", sessions[0])
        assert viewer.get("/admin/").status_code == 303
        assert admin.get("/admin/").status_code == 200

    def test_are_made_and_changed_by_nobody_here(self, client: Client, admin: Person) -> None:
        [session] = keys(admin.get("/admin/tokens").text)
        for path in ("new", "import", "export", f"{session}/edit"):
            assert admin.get(f"/admin/tokens/{path}").status_code == 403, path
        assert admin.post(f"/admin/tokens/{session}/edit", {"role": "admin"}).status_code == 403
        for path in ("", f"/{session}"):
            assert not re.search(r"[0-9a-f]{64}", text(admin.get(f"/admin/tokens{path}").text))


class TestHistory:
    def test_tells_what_became_of_a_record_and_by_whom(self, client: Client, admin: Person) -> None:
        student = create(client)
        admin.edit(f"/admin/students/{student['id']}/edit", department="Law")
        page = text(admin.get(f"/admin/students/{student['id']}").text)
        assert "History (2)" in page
        assert re.search(r"admin changed .* Department CSE → Law", page)

    def test_of_all_records_is_one_list(self, client: Client, admin: Person) -> None:
        students = [create(client, name=name) for name in ("a", "b")]
        admin.post(f"/admin/students/{students[0]['id']}/delete")
        page = text(admin.get("/admin/-/activity").text)
        deleted, kept = (f"student {student['id']}" for student in students)
        assert page.index(f"admin deleted {deleted}") < page.index(f"created {kept}")
        assert deleted not in text(admin.get(f"/admin/-/activity?view=students&record={students[1]['id']}").text)
        only = text(admin.get("/admin/-/activity?event=deleted&view=students").text)
        assert deleted in only
        assert kept not in only

    def test_goes_on_page_after_page(self, client: Client, admin: Person) -> None:
        for count in range(60):
            create(client, name=str(count))
        first = admin.get("/admin/-/activity?view=students").text
        older = re.search(r'href="([^"]*older=[^"]*)"', first)
        assert older is not None
        second = admin.get(older[1].replace("&amp;", "&")).text
        shown = [re.findall(r"student (\d+)", text(page)) for page in (first, second)]
        assert len(shown[0]) + len(shown[1]) == 60
        assert not set(shown[0]) & set(shown[1])


class TestDashboard:
    def test_sums_up_what_there_is(self, client: Client, admin: Person) -> None:
        for department, cgpa in (("CSE", 9), ("CSE", 9.9), ("Law", 10), ("ECE", 0.5)):
            create(client, department=department, cgpa=cgpa)

        def sums_are_shown() -> bool:
            """Of what an earlier test left, they may be shown for a moment."""
            page = text(admin.get("/admin/").text)
            return bool(
                re.search(r"Students per department.* CSE 2 ECE 1 Law 1 ", page)
                and re.search(r"Students per CGPA.* 0 to 1 1 1 to 2 0 .* 9 to 10 3 ", page)
            )

        until(sums_are_shown, "counts to be made again")
        page = text(admin.get("/admin/").text)
        assert re.search(r"Latest changes .* created student \d+", page)
        database = client.app.state.database
        assert f"Active database default {database.dialect.title}" in page
        assert database.url.password is None or database.url.password not in page


@pytest.mark.engines("sqlite")
class TestPages:
    def test_may_run_scripts_there_and_nowhere_else(self, client: Client, viewer: Person) -> None:
        policy = viewer.get("/admin/").headers["content-security-policy"]
        assert "script-src 'self' 'unsafe-inline' 'unsafe-eval'" in policy
        assert "http" not in policy
        for path in ("/docs", "/students", "/administrators", "/problems/not-found"):
            assert "unsafe" not in client.get(path).headers["content-security-policy"], path

    def test_have_the_headers_of_the_service_and_are_kept_by_nobody(self, viewer: Person) -> None:
        for path in ("/admin/", "/admin/students", "/admin/nothing", "/admin/login"):
            headers = viewer.get(path).headers
            assert headers["cache-control"] == "no-store", path
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["x-request-id"]

    def test_come_with_everything_that_they_load(self, client: Client, viewer: Person) -> None:
        page = viewer.get("/admin/").text
        loaded = re.findall(r'<(?:script|link)[^>]* (?:src|href)="([^"]+)"', page)
        assert len(loaded) >= 4
        for path in loaded:
            assert path.startswith("/admin/"), path
            assert client.get(path).status_code == 200, path
        stamped = next(path for path in loaded if "?v=" in path)
        assert "immutable" in client.get(stamped).headers["cache-control"]

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
    def test_take_no_other_method(self, client: Client, method: str) -> None:
        response = client.request(method, "/admin/students")
        assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, OPTIONS, POST")

    def test_say_so_where_the_database_does_not_answer(self, new_database: Callable[[str], str]) -> None:
        app = create_app(load({"DATABASE_URL": new_database("sqlite"), "LOG_LEVEL": "ERROR"}))
        with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
            response = Person(client).sign_in("ananya")
            assert response.status_code == 503
            assert response.headers["content-type"].startswith("text/html")
            assert "Traceback" not in response.text
