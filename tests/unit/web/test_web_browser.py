"""The main paths in a real browser: headless Chromium with scripts and style sheet, light and dark, wide and narrow."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from conftest import wait_until
from web_cases import TOKEN, fill, served

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.settings import Settings

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("web-browser")]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Catalogue, Settings]]:
    catalogue, settings = fill(tmp_path_factory.mktemp("web"))
    yield catalogue, settings
    catalogue.dispose()


@pytest.fixture(scope="module")
def address(filled) -> Iterator[str]:
    with served(*filled) as address:
        yield address


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start Debian's Chromium with its driver; skip without them."""
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs or importlib.util.find_spec("selenium") is None:
        reason = "no chromium and chromedriver, or no selenium: apt install chromium chromium-driver"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    profile = tmp_path_factory.mktemp("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(programs[1]))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium, address: str) -> Any:
    """Return a browser that opened the address printed by the server."""
    chromium.get(f"{address}/?token={quote(TOKEN)}")
    chromium.get_log("browser")
    return chromium


def find(browser, selector: str) -> Any:
    return wait_until(lambda: browser.find_elements("css selector", selector), seconds=20)[0]


def text(browser) -> str:
    """Return the text of the page; read it again if another page was loaded meanwhile."""
    from selenium.common.exceptions import StaleElementReferenceException

    while True:
        with suppress(StaleElementReferenceException):
            return str(find(browser, "main").text)


def test_from_the_sweep_to_its_map_to_a_job_to_a_zoomed_series(browser) -> None:
    from selenium.webdriver import ActionChains

    browser.find_element("link text", "done").click()
    cells = wait_until(lambda: browser.find_elements("css selector", "#chart rect.cell"))
    assert len(cells) == 4

    find(browser, "select[name=value] option:last-child").click()
    wait_until(lambda: "duration over coupling.a" in browser.page_source)
    find(browser, "#chart a").click()
    wait_until(lambda: "/jobs/" in browser.current_url)
    chart = find(browser, "svg.series")
    ActionChains(browser).move_to_element_with_offset(chart, -100, 0).click_and_hold().move_by_offset(200, 0).perform()
    ActionChains(browser).release().perform()
    wait_until(lambda: "Whole series" in text(browser))
    start, stop = (float(find(browser, f"input[name={name}]").get_attribute("value")) for name in ("start", "stop"))
    assert 0.5 < start < stop < 19.5
    find(browser, "button[hx-get]").click()
    wait_until(lambda: "Whole series" not in text(browser))

    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_jobs_are_filtered_and_a_sweep_is_canceled_after_a_question(browser, filled) -> None:
    browser.find_element("link text", "Jobs").click()
    find(browser, "input[name=where]").send_keys("coupling.a > 0.015\n")
    wait_until(lambda: "2 jobs" in text(browser))

    browser.find_element("link text", "Sweeps").click()
    browser.find_element("link text", "waiting").click()
    find(browser, "button[value=cancel]").click()
    browser.switch_to.alert.dismiss()
    assert "1 pending" in text(browser)
    find(browser, "button[value=cancel]").click()
    browser.switch_to.alert.accept()
    wait_until(lambda: "1 canceled" in text(browser))
    find(browser, "button[value=retry]").click()
    wait_until(lambda: "1 pending" in text(browser))


def test_the_table_of_sweeps_follows_what_happens(browser, filled) -> None:
    catalogue, _ = filled
    waiting = next(one.sweep for one in catalogue.sweeps() if one.sweep.name == "waiting")
    assert "1 pending" in text(browser)

    catalogue.cancel(sweep=waiting.gid)

    wait_until(lambda: "1 canceled" in text(browser), seconds=15)
    catalogue.retry(sweep=waiting.gid)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_every_page_is_accessible_and_fits_its_window(browser, filled, address, scheme: str, width: int) -> None:
    from axe_core_python.selenium import Axe

    catalogue, _ = filled
    done = next(one.sweep for one in catalogue.sweeps() if one.sweep.name == "done")
    first, second, *_ = catalogue.jobs(sweep=done.gid)
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    pages = ["/", "/jobs", f"/sweeps/{done.gid}", f"/jobs/{first.gid}", f"/compare?a={first.gid}&b={second.gid}"]
    found = {}
    for path in [*pages, "/workers", "/bundles", "/login", "/nothing"]:
        browser.get(address + path)
        if path.startswith("/sweeps/"):
            find(browser, "#chart svg")
        result = Axe().run(browser)
        found[path] = [
            (fault["id"], fault["nodes"][0]["html"][:200])
            for fault in result["violations"]
            if fault["impact"] in ("serious", "critical")
        ]
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, path
        if folder := os.environ.get("TVB_BATCH_TEST_SCREENSHOTS"):
            name = path.split("?")[0].strip("/").split("/")[0] or "sweeps-list"
            browser.save_screenshot(str(Path(folder) / f"{name}-{scheme}-{width}.png"))

    assert {path: faults for path, faults in found.items() if faults} == {}
