"""Pages in the Chromium of this machine; every one is watched."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL = "apt-get install -y --no-install-recommends chromium"
REQUIRED = "QA_LIGHTNING_BROWSER"  # `.ci/run` sets it to `required`


def chromium() -> Path:
    """Return the browser's place, or skip the test where there is none and none is required."""
    for found in filter(None, map(shutil.which, NAMES)):
        return Path(found)
    told = f"no Chromium on the PATH: {INSTALL}"
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(f"{told} ({REQUIRED}=required)", pytrace=False)
    pytest.skip(told)


@contextmanager
def launched() -> Iterator[Browser]:
    """Run Chromium, which knows no other machine; root has no sandbox."""
    place, options = chromium(), ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    if os.geteuid() == 0:
        options.append("--no-sandbox")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=place, args=options)
        yield started
        started.close()


@contextmanager
def opened(browser: Browser, **settings: Any) -> Iterator[Page]:
    """Open a page that asks no other machine for anything, and whose scripts do not fail."""
    with browser.new_context(**settings) as context:
        page = context.new_page()
        elsewhere: list[str] = []
        failures: list[str] = []
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("request", lambda request: elsewhere.extend(_elsewhere(request.url)))
        yield page
    assert not elsewhere, f"asked other machines: {elsewhere}"
    assert not failures, failures


def _elsewhere(url: str) -> Iterator[str]:
    place = urlsplit(url)
    if place.scheme not in ("file", "data", "blob") and place.hostname != "127.0.0.1":
        yield url
