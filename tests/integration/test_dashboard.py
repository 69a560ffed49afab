"""The dashboard in Debian's Chromium, in front of a gateway whose server is killed: what a person sees and can do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from trunkline.testing.processes import free_port, stdio_command

pytestmark = [
    pytest.mark.integration,
    pytest.mark.browser,
    pytest.mark.requirement("E4", "SEED-METRICS-2"),
]

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / ".servers" / "npm" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 20_000
"""Milliseconds for anything to be shown; the machine may be busy."""
PROMISED = 2.0
"""Seconds from a server's death to the page that says so, the best of three: that is the promise, E4."""
RULES = {
    "light": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
    "dark": {"type": "rule", "values": ["color-contrast"]},
}
"""What axe looks at. The themes differ in nothing but colours."""
VITAL = {"for": 0.0, "keep_firing_for": 0.0}


@dataclass
class Gateway:
    """A gateway in front of the servers `search` and `notes`, and the means to take `search` away and give it back."""

    url: str
    folder: Path

    @property
    def program(self) -> Path:
        return self.folder / "search-server"

    def take_away(self) -> None:
        """Kill the server; what started it is gone, so that it stays away."""
        self.program.rename(self.folder / "away")
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and str(self.folder / "search.journal") in _command_line(entry):
                os.kill(int(entry.name), signal.SIGKILL)

    def give_back(self) -> None:
        (self.folder / "away").rename(self.program)


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("dashboard")
    port = free_port()
    running = Gateway(f"http://127.0.0.1:{port}", folder)
    program, arguments = stdio_command()
    # A script of a name of its own, that can be taken away.
    running.program.write_text(f'#!/bin/sh\nexec "{program}" "$@"\n', "utf-8")
    running.program.chmod(0o755)
    servers = {
        name: {"command": command, "args": [*arguments, "--journal", str(folder / f"{name}.journal")]}
        for name, command in (("search", str(running.program)), ("notes", program))
    }
    config = folder / "mcp.json"
    ours = {"alerts": {"rules": {"ServerDown": VITAL}}}
    config.write_text(json.dumps({"mcpServers": servers, "trunkline": ours}), "utf-8")
    command = [sys.executable, "-m", "trunkline", "serve", str(config), "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield running
    finally:
        process.terminate()
        try:
            process.wait(10)
        finally:
            process.kill()
            process.wait(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield started
        started.close()


@dataclass
class Seen:
    """A page, and all that it complained of and asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)

    def note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def asked(self, request: Request) -> None:
        self.addresses.append(request.url)

    def violations(self) -> list[Any]:
        """What axe finds wrong with the page as it is, in both themes."""
        # Past the page's own policy, which lets in no script of others.
        self.page.evaluate(AXE.read_text("utf-8"))
        found = []
        for theme, rules in RULES.items():
            self.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            told = self.page.evaluate("rules => axe.run(document, {runOnly: rules})", rules)
            found += [(theme, each["id"], [node["html"] for node in each["nodes"]]) for each in told["violations"]]
        return found


@pytest.fixture
def seen(gateway: Gateway, browser: Browser) -> Iterator[Seen]:
    """The dashboard, once it shows that all is well; after the test nothing came from or went elsewhere."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE)
    looked = Seen(page)
    page.on("console", looked.note)
    page.on("pageerror", lambda error: looked.complaints.append(str(error)))
    page.on("request", looked.asked)
    while True:
        try:
            page.goto(gateway.url)
            break
        except Exception as error:  # boundary: the gateway may not listen so far
            assert "ERR_CONNECTION_REFUSED" in str(error), error
            page.wait_for_timeout(100)
    looked.complaints.clear()
    expect(page.locator("#sentence")).to_have_text("All 2 servers work; 20 tools can be called.", timeout=2 * PATIENCE)
    expect(page.locator("#pulse")).to_have_text("live")
    yield looked
    assert looked.complaints == []
    assert [address for address in looked.addresses if not address.startswith(gateway.url)] == []
    page.close()


def seconds_until_told(page: Page, gateway: Gateway) -> float:
    """Kill the server, and wait until the page no longer says that all is well."""
    gateway.take_away()
    began = time.monotonic()
    expect(page.locator("#overall")).not_to_have_attribute("data-state", "healthy", timeout=PATIENCE)
    return time.monotonic() - began


def test_the_page_says_that_a_server_was_killed_what_fires_and_when_it_is_back(seen: Seen, gateway: Gateway) -> None:
    page = seen.page
    row = page.locator("#servers tbody tr", has_text="search")
    assert seen.violations() == []
    took = seconds_until_told(page, gateway)
    for _ in range(2):
        if took <= PROMISED:
            break
        gateway.give_back()
        expect(page.locator("#overall")).to_have_attribute("data-state", "healthy", timeout=2 * PATIENCE)
        took = seconds_until_told(page, gateway)
    assert took <= PROMISED
    try:
        expect(row).to_contain_text("down", timeout=PATIENCE)
        expect(page.locator("#sentence")).to_contain_text("Of 2 servers, 1 is down.")
        expect(page.locator("#since")).to_contain_text("Since ")
        expect(page.locator("#reasons")).to_contain_text("search: ")
        expect(page.locator("#announce")).to_contain_text("Of 2 servers, 1 is down.")
        expect(page.locator("#alerts")).to_contain_text("Server search is down", timeout=PATIENCE)
        expect(page.locator("#servers tbody tr").first).to_contain_text("search")
        assert "Trunkline" in page.title()
        assert page.title() != "Trunkline"
        assert seen.violations() == []
    finally:
        gateway.give_back()
    expect(row).to_contain_text("healthy", timeout=2 * PATIENCE)
    expect(page.locator("#sentence")).to_have_text("All 2 servers work; 20 tools can be called.", timeout=2 * PATIENCE)
    expect(page.locator("#alerts-part")).to_be_hidden(timeout=PATIENCE)


def test_everything_can_be_reached_and_left_by_keyboard_alone(seen: Seen) -> None:
    page, keyboard = seen.page, seen.page.keyboard

    def tab_to(text: str) -> None:
        for _ in range(30):
            keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent") == text:
                return
        raise AssertionError(text)

    keyboard.press("Tab")
    expect(page.locator("#skip")).to_be_focused()
    tab_to("notes")
    keyboard.press("Enter")
    expect(page.locator("#one-title")).to_have_text("notes")
    expect(page.locator("#one-title")).to_be_focused()
    expect(page.locator("#one-body")).to_contain_text("notes_echo")
    assert seen.violations() == []
    keyboard.press("Escape")
    expect(page.locator("#overview")).to_be_visible()
    expect(page.locator("#servers a", has_text="notes")).to_be_focused()
    keyboard.press("Control+Home")
    page.locator("#skip").focus()
    tab_to("Inside")
    keyboard.press("Enter")
    expect(page.locator("#inside-title")).to_be_focused()
    for heading in ("Health of every part", "What happened", "Cache", "Registry", "Configuration in force"):
        expect(page.locator("#inside-body")).to_contain_text(heading)
    page.locator("summary", has_text="server notes").focus()
    keyboard.press("Enter")
    expect(page.locator("details[open]")).to_contain_text("retry.attempts")
    assert seen.violations() == []
    keyboard.press("Escape")
    expect(page.locator("#overview")).to_be_visible()


def test_the_theme_is_chosen_and_kept_and_a_narrow_page_does_not_scroll_sideways(seen: Seen) -> None:
    page = seen.page
    ground = "getComputedStyle(document.body).backgroundColor"
    page.emulate_media(color_scheme="light")
    light = page.evaluate(ground)
    page.locator("#theme").press("Enter")
    page.locator("#theme").press("Enter")
    expect(page.locator("#theme")).to_have_text("Theme: dark")
    assert page.evaluate(ground) != light
    page.reload()
    expect(page.locator("#theme")).to_have_text("Theme: dark")
    assert page.evaluate(ground) != light
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator("#servers tbody tr")).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_what_a_server_says_is_text_and_never_markup(seen: Seen) -> None:
    page = seen.page
    evil = '<img src=x onerror="document.title=1">'
    page.evaluate(
        """async (evil) => {
            const { Rows } = await import("/static/rows.js");
            const numbers = { badness: 1, rate: 1, in_flight: 0, spark: [1] };
            const row = { ...numbers, state: "down", since: 1, reason: evil, circuit: "closed" };
            const rows = new Rows("servers", "test", "none");
            rows.show({ [evil]: row }, 2);
        }""",
        evil,
    )
    expect(page.locator("#servers a", has_text="onerror")).to_have_text(evil)
    assert page.locator("#servers img").count() == 0
