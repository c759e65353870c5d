"""The pages in a real browser, served by a real process."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import httpx
import pytest
from playwright.sync_api import Browser, Locator, expect

from project.problems import KINDS
from tests.browser import Visit, started_browser
from tests.processes import Service, running


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder: Path = tmp_path_factory.mktemp("docs")
    with running(f"sqlite:///{folder / 'registrar.sqlite3'}") as service:
        yield service


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started_browser() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, service: Service) -> Iterator[Visit]:
    visit = Visit(browser, service.url)
    yield visit
    visit.page.close()


def operation(visit: Visit, name: str) -> Locator:
    """The panel of an operation, opened."""
    panel = visit.page.locator(f".opblock[id$='-{name}']")
    panel.locator(".opblock-summary-control").click()
    return panel


def answer(panel: Locator) -> str:
    """What the service answers when the panel's call is made."""
    panel.get_by_role("button", name="Execute").click()
    shown = panel.locator(".live-responses-table .response")
    expect(shown).to_be_visible()
    return shown.inner_text()


class TestDocs:
    def test_shows_every_operation(self, visit: Visit, service: Service) -> None:
        visit.page.goto("/docs")
        expect(visit.page).to_have_title("Registrar API")
        paths = httpx.get(f"{service.url}/openapi.json").json()["paths"]
        expect(visit.page.locator(".opblock")).to_have_count(sum(map(len, paths.values())))
        assert visit.complaints == []

    def test_calls_the_service_that_serves_it(self, visit: Visit) -> None:
        visit.page.goto("/docs")
        create = operation(visit, "createStudent")
        create.locator("textarea").first.fill('{"name": "Ananya", "department": "CSE", "cgpa": 8.9}')
        created = answer(create)
        assert created.startswith("201")
        assert '"name": "Ananya"' in created
        listed = answer(operation(visit, "listStudents"))
        assert listed.startswith("200")
        assert '"name": "Ananya"' in listed
        assert visit.complaints == []

    def test_asks_nobody_else(self, visit: Visit, service: Service) -> None:
        visit.page.goto("/docs")
        expect(visit.page.locator(".opblock").first).to_be_visible()
        visit.page.wait_for_load_state("networkidle")
        assert f"{service.url}/openapi.json" in visit.requests
        assert visit.complaints == []

    @pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
    def test_is_as_dark_as_the_reader_wants_it(
        self, browser: Browser, service: Service, scheme: Literal["light", "dark"], is_dark: bool
    ) -> None:
        visit = Visit(browser, service.url, color_scheme=scheme)
        visit.page.goto("/docs")
        expect(visit.page.locator(".opblock").first).to_be_visible()
        color = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (max(map(int, re.findall(r"\d+", color))) < 100) is is_dark


class TestProblems:
    def test_each_kind_has_its_page(self, visit: Visit) -> None:
        for slug, kind in KINDS.items():
            visit.page.goto(f"/problems/{slug}")
            expect(visit.page.get_by_role("heading")).to_have_text(kind.title)
        assert visit.complaints == []
