"""Uses a bundle in the TVB GUI as a person does: the real web server and a headless Chromium.

    python scripts/gui_in_browser.py BUNDLE DIRECTORY

logs in, creates a project, uploads the ZIP and opens the Connectivity's viewer. For an exploration (`tvb-batch bundle
--as pse`) it opens the Discrete and the Isocline page and the series of a point. It saves a picture of each page in
DIRECTORY, and exits with 1 if a page does not appear or its scripts fail. It takes one to four minutes and needs
tvb-framework (`pip install tvb-batch[gui-test]`), `chromium` and `chromedriver` on the PATH (Debian: chromium,
chromium-driver). All processes that it starts end with it. Its TVB uses a temporary directory and a random password.
"""

import base64
import contextlib
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

#: How long a page, and how long the import of a bundle may take. Seconds.
PAGE, IMPORT = 60.0, 600.0

_CHROMIUM = (
    "--headless=new", "--no-sandbox", "--window-size=1400,1000", "--hide-scrollbars", "--disable-dev-shm-usage",
    # The viewers draw with WebGL, which is done without a graphics card here.
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist",
)  # fmt: skip

#: Files that tvb-framework's package does not have, and a graphics card that is not there.
_NO_FAULT = ("404 (Not Found)", "WebGL", "GPU stall")


class BrowserError(Exception):
    """A page is not as expected."""


class Browser:
    """One window of Chromium, controlled with W3C's WebDriver protocol."""

    def __init__(self, driver: str, binary: str) -> None:
        self._driver = driver
        options = {"binary": binary, "args": list(_CHROMIUM)}
        patience = {"pageLoad": int(IMPORT * 1000), "script": int(IMPORT * 1000)}
        wanted = {
            "timeouts": patience,
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "SEVERE"},
        }
        self._session = self._send("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def open(self, url: str) -> None:
        """Open a URL."""
        self._call("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: object) -> Any:
        """Run a function body of JavaScript in the page; return its result."""
        return self._call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def press(self, selector: str, text: str = "") -> bool:
        """Click the first matching element that contains `text`; return False if there is none.

        The click is a script, because the GUI's toolbars unfold only below a mouse.
        """
        script = """
            const found = [...document.querySelectorAll(arguments[0])].find(
                it => (it.textContent + it.title).includes(arguments[1]));
            if (found) found.dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}));
            return Boolean(found);"""
        return bool(self.run(script, selector, text))

    def type(self, selector: str, text: str) -> None:
        """Fill a field, or choose its file."""
        found = self._call("POST", "/elements", {"using": "css selector", "value": selector})
        if not found:
            raise BrowserError(f"no {selector} in the page")
        [element] = found[0].values()
        self._call("POST", f"/element/{element}/value", {"text": text})

    def picture(self, path: Path) -> None:
        """Save a picture of the page and print its path."""
        path.write_bytes(base64.b64decode(self._call("GET", "/screenshot")))
        print(path, flush=True)

    def faults(self) -> list[str]:
        """Return the errors of scripts since the last call."""
        entries = self._call("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if not any(text in entry["message"] for text in _NO_FAULT)]

    def close(self) -> None:
        """Close the window."""
        with contextlib.suppress(BrowserError, OSError):
            self._call("DELETE", "")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._send(method, f"/session/{self._session}{path}", body)

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._driver + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            # The click that uploads a bundle is answered once the GUI has imported it.
            with urllib.request.urlopen(request, timeout=IMPORT) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as exc:
            raise BrowserError(json.load(exc)["value"]["message"].splitlines()[0]) from exc
        except OSError as exc:
            raise BrowserError(f"the browser does not answer ({exc})") from exc


def visit(browser: Browser, gui: str, password: str, bundle: Path, directory: Path) -> None:
    """Go through all pages.

    Raises
    ------
    BrowserError
        A page does not appear, or its scripts fail.
    """
    log_in(browser, gui, password)
    project = make_project(browser, gui)
    upload(browser, gui, project, bundle)
    browser.picture(directory / "project.png")
    groups = browser.run("return document.querySelector('#treeStructure').textContent").count("DatatypeMeasureIndex")
    view(browser, gui, project, "Connectivity [", "Connectivity Visualizer", "#GLcanvas, canvas")
    browser.picture(directory / "connectivity.png")
    if groups:
        view(browser, gui, project, "of DatatypeMeasureIndex", "Discrete Parameter", "circle")
        browser.picture(directory / "discrete.png")
        browser.press("circle")
        launch(browser, "Animated Time Series", "canvas")
        browser.picture(directory / "series.png")
        if view(browser, gui, project, "of DatatypeMeasureIndex", "Isocline Parameter", "canvas, svg", optional=True):
            # The page is empty until a metric is chosen.
            browser.run("document.querySelector('#color_metric_select').dispatchEvent(new Event('change'))")
            title = """
                const metric = document.querySelector('#color_metric_select').value;
                return document.querySelector('#svg-container').textContent.includes(metric);"""
            until(lambda: browser.run(title), "Isocline: no metric was drawn")
            browser.picture(directory / "isocline.png")


def log_in(browser: Browser, gui: str, password: str) -> None:
    """Log in as administrator."""
    browser.open(f"{gui}/user")
    browser.type("#username", "admin")
    browser.type("#password", password)
    browser.press("#user_login_form button[type=submit]")
    until(lambda: "/user/profile" in browser.run("return location.pathname"), "no profile after the login")


def make_project(browser: Browser, gui: str) -> int:
    """Create a project and make it the current one; return its number."""
    browser.open(f"{gui}/project/editone")
    browser.type("#name", "tvb_batch")
    browser.press("button[name=save]")
    until(lambda: "viewall" in browser.run("return location.pathname"), "the project was not made")
    return int(browser.run("return document.querySelector('#hidden_project_id').value"))


def upload(browser: Browser, gui: str, project: int, bundle: Path) -> None:
    """Upload the ZIP, and wait until its data are in the tree."""
    form = "section.upload-tvb_datatype_importer form"
    browser.open(f"{gui}/project/editstructure/{project}")
    browser.press("button.action-upload")
    until(lambda: browser.run("return Boolean(document.querySelector(arguments[0]))", form), "no form for uploads")
    browser.type(f"{form} input[type=file]", str(bundle.absolute()))
    browser.press(f"{form} button[type=submit]")

    def is_there() -> bool:
        browser.open(f"{gui}/project/editstructure/{project}")
        time.sleep(2.0)
        return "Connectivity [" in browser.run("return document.querySelector('#treeStructure').textContent")

    until(is_there, f"{bundle.name} was not imported", IMPORT)


def view(
    browser: Browser, gui: str, project: int, node: str, viewer: str, drawn: str, *, optional: bool = False
) -> bool:  # fmt: skip
    """Click a node of the tree and a viewer; return False if the viewer is optional and not offered."""
    browser.open(f"{gui}/project/editstructure/{project}")
    until(lambda: browser.press("#treeStructure a", node), f"no {node!r} in the tree")
    return launch(browser, viewer, drawn, optional=optional)


def launch(browser: Browser, viewer: str, drawn: str, *, optional: bool = False) -> bool:
    """Press a viewer's button in the opening overlay, and wait until something is `drawn`."""
    buttons = "[onclick*=launchAdapter]"
    until(lambda: browser.run("return document.querySelectorAll(arguments[0]).length", buttons), "no viewer is offered")
    browser.faults()
    if not browser.press(buttons, viewer):
        if optional:
            return False
        raise BrowserError(f"no viewer called {viewer!r} is offered")
    until(lambda: browser.run("return location.pathname.startsWith('/flow/')"), f"{viewer}: its page did not open")
    there = "return [...document.querySelectorAll(arguments[0])].some(it => it.getBoundingClientRect().width > 0)"
    until(lambda: browser.run(there, drawn), f"{viewer}: nothing was drawn")
    time.sleep(3.0)  # What it draws moves into its place.
    message = browser.run("const it = document.querySelector('#messageDiv .errorMessage'); return it && it.textContent")
    found = [message] if message else browser.faults()
    if found:
        raise BrowserError(f"{viewer}: {found[0]}")
    return True


def until(condition: Callable[[], Any], fault: str, seconds: float = PAGE) -> None:
    """Wait until the condition is true; raise BrowserError after a time limit."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise BrowserError(f"{fault}, not within {seconds:g} s")
        time.sleep(0.2)


# ------------------------------------------------------------------------------------------------------------ processes


@contextlib.contextmanager
def running(command: list[str], port: int, log: Path, **options: Any) -> Iterator[None]:
    """Start a server that listens on `port`; end it and its processes with the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True, **options)
        try:
            until(lambda: process.poll() is not None or is_listening(port), f"{command[0]} does not listen", IMPORT)
            if process.poll() is not None:
                raise BrowserError(f"{command[0]} ended: {log.read_text(errors='replace')[-2000:]}")
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def is_listening(port: int) -> bool:
    """Return whether a server listens on this port of the loopback."""
    with socket.socket() as tried:
        tried.settimeout(1.0)
        return tried.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """Return a free port of the loopback."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


def gui_environment(home: Path, port: int, password: str) -> dict[str, str]:
    """Return the environment of a separate TVB below `home`, without network requests and windows."""
    storage = home / "TVB"
    (storage / "PROJECTS").mkdir(parents=True)
    values = {
        "TVB_STORAGE": storage, "SELECTED_DB": "sqlite", "URL_VALUE": f"sqlite:///{home}/tvb.db",
        "WEB_SERVER_PORT": port, "ADMINISTRATOR_NAME": "admin",
        "ADMINISTRATOR_PASSWORD": hashlib.md5(password.encode()).hexdigest(),  # As TVB keeps it.
    }  # fmt: skip
    (home / ".tvb.configuration").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    # The atlas library asks the network while it is imported; the GUI runs without it.
    (home / "without").mkdir()
    (home / "without" / "siibra.py").write_text("raise ImportError('left out')\n")
    path = os.pathsep.join([str(home / "without"), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    own = {"HOME": str(home), "TVB_USER_HOME": str(home), "PYTHONPATH": path, "BROWSER": "true"}
    return {**os.environ, **own}


def main() -> int:
    """Visit with the bundle and the directory for pictures from the command line; return the exit code."""
    if len(sys.argv) != 3 or not Path(sys.argv[1]).is_file():
        print("usage: gui_in_browser.py BUNDLE DIRECTORY; BUNDLE is a ZIP of `tvb-batch bundle`", file=sys.stderr)
        return 2
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not chromedriver:
        print(
            "chromium and chromedriver: not on the PATH; Debian has them as chromium, chromium-driver", file=sys.stderr
        )
        return 2
    bundle, directory = Path(sys.argv[1]), Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    web, driver, password = free_port(), free_port(), secrets.token_hex(8)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="tvb-gui-", ignore_cleanup_errors=True) as folder,
            contextlib.ExitStack() as stack,
        ):
            home = Path(folder)
            server = [sys.executable, "-m", "tvb.interfaces.web.run", "WEB_PROFILE", "tvb.config"]
            environment = gui_environment(home, web, password)
            stack.enter_context(running(server, web, home / "gui.log", env=environment, cwd=home))
            stack.enter_context(running([chromedriver, f"--port={driver}"], driver, home / "driver.log", cwd=home))
            browser = Browser(f"http://127.0.0.1:{driver}", chromium)
            stack.callback(browser.close)
            try:
                visit(browser, f"http://127.0.0.1:{web}", password, bundle, directory)
            except BrowserError:
                browser.picture(directory / "failed.png")
                shutil.copy(home / "gui.log", directory / "failed.log")
                raise
    except BrowserError as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
