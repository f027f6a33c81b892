"""Sign in, link an account and sign out in a real browser, against a real provider: cookies, forms and CSP as they are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import ElementNotInteractableException, NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.programs import forget, watch
from tests.waiting import PATIENCE
from tests.web.gate import CAROL, Gate

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1000,1100"),
)
TOKEN = "c" * 40


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """A browser with a profile of its own. Without one the tests fail."""
    driver = shutil.which("chromedriver")
    browser = shutil.which("chromium")
    assert driver and browser, "this test needs chromium and chromedriver: make test-tools"
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    log = tmp_path / "chromedriver.log"
    watch("chromedriver", log)
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver, log_output=str(log)))
    try:
        yield chrome
    finally:
        chrome.quit()
        forget(log)


def see(chromium: webdriver.Chrome, name: str) -> None:
    """Take a picture for people, where TIDEGATE_PICTURES names a folder."""
    if folder := os.environ.get("TIDEGATE_PICTURES"):
        chromium.save_screenshot(str(Path(folder) / f"{name}.png"))


def _until(chromium: webdriver.Chrome, act: Callable[[webdriver.Chrome], object], what: str) -> None:
    """Find and act anew until it works: an element may be gone before it is used, while one page gives way to the next.

    An element is not found before its page has come, and what was found in the page before is stale.
    """
    moving = (NoSuchElementException, StaleElementReferenceException, ElementNotInteractableException)
    WebDriverWait(chromium, PATIENCE, 0.05, ignored_exceptions=moving).until(act, what)


def click(chromium: webdriver.Chrome, text: str) -> None:
    place = f"//*[self::a or self::button][normalize-space()='{text}']"
    _until(chromium, lambda c: c.find_element(By.XPATH, place).click() is None, f"there is no {text!r} to click")


def fill_in(chromium: webdriver.Chrome, name: str, text: str) -> None:
    def fill(chrome: webdriver.Chrome) -> bool:
        field = chrome.find_element(By.NAME, name)
        field.clear()
        field.send_keys(text)
        return field.get_attribute("value") == text

    _until(chromium, fill, f"there is no field {name}")


def wait_for(chromium: webdriver.Chrome, text: str) -> None:
    _until(chromium, lambda c: text in c.find_element(By.TAG_NAME, "body").text, f"the page does not say {text!r}")


def sign_in(chromium: webdriver.Chrome, login: str) -> None:
    fill_in(chromium, "login", login)
    click(chromium, "Sign in")


def test_a_person_signs_in_links_an_account_and_signs_out(gate: Gate, chromium: webdriver.Chrome) -> None:
    gate.tokens[TOKEN] = CAROL
    gate.provider.accounts["alice"]["amr"] = ["pwd", "mfa"]
    gate.provider.tell()
    chromium.get(f"{gate.url}/login?stay")
    see(chromium, "login")
    click(chromium, "Sign in with corp")
    sign_in(chromium, "alice")
    wait_for(chromium, "Who I am")
    assert chromium.current_url == f"{gate.url}/account"
    cookie = chromium.get_cookie("tidegate")
    assert cookie is not None and cookie["httpOnly"] and cookie["sameSite"] == "Lax"
    assert chromium.execute_script("return document.cookie").count("tidegate") == 0
    fill_in(chromium, "token", TOKEN)
    click(chromium, "Link")
    wait_for(chromium, "gogs:72")
    see(chromium, "account")
    click(chromium, "Sign out")
    wait_for(chromium, "You are signed out of Tidegate")
    see(chromium, "signed-out")
    assert chromium.get_cookie("tidegate") is None and gate.rows("SELECT id FROM sessions") == []
    assert [e["action"] for e in gate.audit("session:%")] == ["session:started", "session:ended"]
    refused = [entry["message"] for entry in chromium.get_log("browser") if "Content Security Policy" in entry["message"]]  # type: ignore[no-untyped-call]
    assert [message for message in refused if gate.url in message] == []


def test_who_is_nobody_is_told_what_is_missing(gate: Gate, chromium: webdriver.Chrome) -> None:
    chromium.get(f"{gate.url}/login/corp")
    sign_in(chromium, "mallory")
    wait_for(chromium, "no source of people knows mallory")
    see(chromium, "refusal")
