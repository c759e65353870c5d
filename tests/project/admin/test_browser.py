"""The admin site in a real browser, served by a real process. What it shows by itself, other tests ask of it."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from apps.accounts.passwords import hashed
from apps.accounts.services import UserService
from project.callers import ROLES, Role
from tests.browser import Visit, started_browser
from tests.people import PASSWORD
from tests.processes import Service, running
from tests.units import opened

REFUSED = re.compile(r"Failed to load resource: the server responded with a status of (401|403|422) ")
"""What Chromium itself says of a page whose status is no success, however much that is meant."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """With three users, each named like the role that they have, and two students."""
    url = f"sqlite:///{tmp_path_factory.mktemp('admin') / 'registrar.sqlite3'}"
    with running(url) as service:
        for role in ROLES:
            asyncio.run(create_user(url, role))
        with service.client() as client:
            for name, department, cgpa in (("Ananya", "CSE", 8.9), ("Meera", "Law", 9.1)):
                client.post("/students", json={"name": name, "department": department, "cgpa": cgpa})
        yield service


async def create_user(url: str, role: Role) -> None:
    values = {"username": role, "password": hashed(PASSWORD), "role": role, "is_active": True}
    async with opened(url) as database:
        await database.write(UserService, lambda users: users.create(values))


@pytest.fixture(scope="module")
def browser(service: Service) -> Iterator[Browser]:
    """Started after the service: it keeps an event loop running, and users are made in another."""
    with started_browser() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, service: Service) -> Iterator[Visit]:
    """In a browser window that nobody has signed in with. Whatever went wrong in it fails the test."""
    visit = Visit(browser, service.url)
    yield visit
    visit.page.context.close()
    assert [complaint for complaint in visit.complaints if not REFUSED.match(complaint)] == []
    assert all(request.startswith(f"{service.url}/") for request in visit.requests)


def sign_in(visit: Visit, username: str, password: str = PASSWORD) -> Page:
    page = visit.page
    page.goto("/admin")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()
    return page


def signed_in(visit: Visit, username: str) -> Page:
    page = sign_in(visit, username)
    shown(page, "Overview")
    return page


def shown(page: Page, heading: str) -> None:
    """Wait for the page of a heading, and for its scripts, which answer to clicks and keys."""
    expect(page.get_by_role("heading", name=heading)).to_be_visible()
    page.wait_for_load_state()


def new_student(page: Page, name: str) -> None:
    """Create one, and be on the page about it."""
    page.goto("/admin/students/new")
    fill(page, name, "CSE", "8.5")
    page.get_by_role("button", name="Create student").click()
    expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()


def fill(page: Page, name: str, department: str, cgpa: str) -> None:
    page.get_by_role("textbox", name="Name").fill(name)
    page.get_by_role("textbox", name="Department").fill(department)
    page.get_by_role("textbox", name="CGPA").fill(cgpa)


class TestSignIn:
    def test_leads_to_the_dashboard_and_out_again(self, visit: Visit) -> None:
        page = signed_in(visit, "admin")
        for card in ("Students per department", "Students per CGPA", "Latest changes", "Active database"):
            expect(page.get_by_role("region", name=card)).to_be_visible()
        expect(page.get_by_role("region", name="Active database")).to_contain_text("SQLite")
        page.get_by_role("button", name="admin").click()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        page.goto("/admin/students")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()

    def test_is_refused_with_a_wrong_password(self, visit: Visit) -> None:
        page = sign_in(visit, "editor", "wrong horse battery")
        expect(page.get_by_role("alert")).to_contain_text("The username or the password is wrong")
        expect(page.get_by_label("Username")).to_have_value("editor")
        expect(page.get_by_label("Password", exact=True)).to_have_value("")


class TestList:
    def test_is_searched_filtered_and_sorted(self, visit: Visit) -> None:
        page = signed_in(visit, "viewer")
        page.get_by_role("link", name="Students", exact=True).click()
        expect(page.get_by_role("link", name="Meera")).to_be_visible()
        page.get_by_role("searchbox").fill("anan")
        page.get_by_role("searchbox").press("Enter")
        expect(page.get_by_role("link", name="Meera")).to_have_count(0)
        expect(page.get_by_role("link", name="Ananya")).to_be_visible()
        page.goto("/admin/students")
        page.get_by_role("button", name="Filters").click()
        page.get_by_role("checkbox", name="Law").check()
        expect(page.get_by_role("link", name="Ananya")).to_have_count(0)
        expect(page.get_by_role("link", name="Meera")).to_be_visible()
        page.goto("/admin/students")
        page.get_by_role("columnheader", name="Name").get_by_role("link").click()
        expect(page).to_have_url(re.compile("sort=name"))

    def test_is_saved_as_a_file(self, visit: Visit) -> None:
        page = signed_in(visit, "viewer")
        page.goto("/admin/students?q=anan")
        with page.expect_download() as download:
            page.get_by_role("link", name="Export CSV").click()
        lines = Path(download.value.path()).read_text().splitlines()
        assert lines[0] == "id,name,department,cgpa,created_at,updated_at"
        assert [line.split(",")[1] for line in lines[1:]] == ["Ananya"]

    def test_grows_by_a_file(self, visit: Visit) -> None:
        page = signed_in(visit, "editor")
        page.goto("/admin/students")
        page.get_by_role("link", name="Import").click()
        file = b"name,department,cgpa\nKiran,Physics,7\nDivya,Physics,seven\n"
        page.get_by_label("A CSV file").set_input_files({"name": "new.csv", "mimeType": "text/csv", "buffer": file})
        page.get_by_role("button", name="Import").click()
        report = page.get_by_role("status")
        expect(report).to_contain_text("1 created, 1 refused.")
        expect(report.get_by_role("row", name="3 cgpa must be a number, not text")).to_be_visible()
        report.get_by_role("link", name="Go to the list").click()
        expect(page.get_by_role("link", name="Kiran")).to_be_visible()

    def test_is_changed_many_records_at_once(self, visit: Visit) -> None:
        page = signed_in(visit, "editor")
        for name in ("Bulk one", "Bulk two"):
            new_student(page, name)
        page.goto("/admin/students?q=bulk")
        act(page, "Move to a department")
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Department").fill("Moved")
        dialog.get_by_role("button", name="Move to a department").click()
        expect(page.get_by_text("2 moved to Moved.")).to_be_visible()
        expect(page.get_by_role("cell", name="Moved")).to_have_count(2)
        act(page, "Delete")
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_text("2 deleted.")).to_be_visible()


def act(page: Page, action: str) -> None:
    """Choose an action on the two students of the list, once they are counted."""
    expect(page.get_by_text("2 students").first).to_be_visible()
    page.get_by_role("checkbox", name="Select this page").check()
    page.locator("#bulk-actions-button").click()
    page.locator("#bulk-actions-menu").get_by_role("button", name=action).click()


class TestRecord:
    def test_is_created_changed_and_deleted(self, visit: Visit) -> None:
        page = signed_in(visit, "admin")
        page.goto("/admin/students")
        page.get_by_role("link", name="New student").click()
        fill(page, " ", "CSE", "11")
        page.get_by_role("button", name="Create student").click()
        expect(page.get_by_role("alert")).to_contain_text("Some fields need another look.")
        expect(page.locator("#field-cgpa-note")).to_have_text("Must be at most 10.")
        expect(page.get_by_role("textbox", name="CGPA")).to_have_value("11")
        fill(page, "Zoya", "CSE", "9.5")
        page.get_by_role("button", name="Create student").click()
        expect(page.get_by_text("Student created.")).to_be_visible()

        page.get_by_role("link", name="Edit").click()
        page.get_by_role("textbox", name="Department").fill("History")
        page.get_by_role("button", name="Save changes").click()
        expect(page.get_by_text("Student saved.")).to_be_visible()
        # The page's script marks the tab that is open, and listens to clicks from then on.
        expect(page.get_by_role("tab", name="Details")).to_contain_class("border-base-content")
        page.get_by_role("tab", name="History").click()
        expect(page.get_by_text("CSE → History")).to_be_visible()

        page.get_by_role("link", name="Edit").click()
        shown(page, "Edit Zoya")
        page.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_text("Student deleted.")).to_be_visible()
        expect(page.get_by_role("link", name="Zoya")).to_have_count(0)

    def test_may_be_read_and_no_more_by_a_viewer(self, visit: Visit) -> None:
        page = signed_in(visit, "viewer")
        page.goto("/admin/students")
        for name in ("New student", "Import"):
            expect(page.get_by_role("link", name=name)).to_have_count(0)
        page.get_by_role("link", name="Ananya").click()
        expect(page.get_by_role("heading", name="Ananya")).to_be_visible()
        expect(page.get_by_role("link", name="Edit")).to_have_count(0)
        page.goto("/admin/students/new")
        expect(page.get_by_role("heading", name="Not allowed", level=1)).to_be_visible()
        page.goto("/admin/users")
        expect(page.get_by_role("heading", name="Not allowed", level=1)).to_be_visible()

    def test_of_a_user_is_made_with_a_password_that_is_good_enough(self, visit: Visit) -> None:
        page = signed_in(visit, "admin")
        page.goto("/admin/users/new")
        page.get_by_label("Username").fill("kavya")
        page.get_by_label("Role").select_option("viewer")
        page.locator("[name=new_password]").fill("password")
        page.get_by_role("button", name="Create user").click()
        expect(page.locator("#field-new_password-note")).to_contain_text("too common")
        page.locator("[name=new_password]").fill(PASSWORD)
        page.get_by_role("button", name="Create user").click()
        expect(page.get_by_text("User created.")).to_be_visible()


class TestPages:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_are_as_dark_as_the_reader_wants_them(
        self, browser: Browser, service: Service, scheme: Literal["light", "dark"]
    ) -> None:
        visit = Visit(browser, service.url, color_scheme=scheme)
        page = signed_in(visit, "viewer")
        assert (brightness(page) < 100) == (scheme == "dark")
        page.get_by_role("button", name="viewer").click()
        page.get_by_role("switch", name="Dark mode").click()
        assert (brightness(page) < 100) == (scheme == "light")
        page.reload()
        assert (brightness(page) < 100) == (scheme == "light")
        assert visit.complaints == []
        page.context.close()

    def test_need_no_mouse(self, visit: Visit) -> None:
        page = visit.page
        page.goto("/admin")
        expect(page.get_by_role("textbox", name="Username")).to_be_focused()
        page.keyboard.type("viewer")
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        shown(page, "Overview")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Control+k")
        page.keyboard.type("meer")
        expect(page.get_by_role("option", name="Meera")).to_be_visible()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(r"/admin/students"))


def brightness(page: Page) -> float:
    """Of what is behind a page, 0 to 255."""
    value: float = page.evaluate(
        """() => {
          const canvas = document.createElement("canvas").getContext("2d");
          canvas.fillStyle = getComputedStyle(document.body).backgroundColor;
          canvas.fillRect(0, 0, 1, 1);
          const [red, green, blue] = canvas.getImageData(0, 0, 1, 1).data;
          return (red + green + blue) / 3;
        }"""
    )
    return value
