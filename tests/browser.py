"""A real browser, which reaches this machine and nothing else: `Visit` is a page, and what went wrong on it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Request, Route, sync_playwright

from tests.requirements import missing

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)

REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`${event.violatedDirective} forbids ${event.blockedURI} ${event.sample}`));
"""


class Visit:
    """A page of the service at `url`, and what went wrong on it. `options` are those of Playwright's `new_page`."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self.url = url
        self.requests: list[str] = []
        self.complaints: list[str] = []
        """What scripts warned of, what the Content-Security-Policy forbade, and requests that others were to get."""
        self.page = browser.new_page(base_url=url, **options)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.route("**/*", self._let_through)
        self.page.add_init_script(REPORT_VIOLATIONS)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _let_through(self, route: Route, request: Request) -> None:
        self.requests.append(request.url)
        if request.url.startswith(f"{self.url}/"):
            route.continue_()
        else:
            self.complaints.append(f"asked for {request.url}")
            route.abort()


@contextmanager
def started_browser() -> Iterator[Browser]:
    """Keeps an event loop running in this thread as long as it is open."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        missing("Chromium", "install a browser, such as the package chromium, so that it is on PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()
