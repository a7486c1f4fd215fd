"""The web pages: their content, and who may see it and act."""

import re
from collections.abc import Iterator

import httpx
import pytest
from conftest import wait_until
from web_cases import EVIL, TOKEN, fill, served

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.settings import Settings

pytestmark = pytest.mark.xdist_group("web")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Catalogue, Settings]]:
    catalogue, settings = fill(tmp_path_factory.mktemp("web"))
    yield catalogue, settings
    catalogue.dispose()


@pytest.fixture(scope="module")
def address(filled) -> Iterator[str]:
    with served(*filled) as address:
        yield address


@pytest.fixture
def stranger(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address) as client:
        yield client


@pytest.fixture
def browser(stranger: httpx.Client) -> httpx.Client:
    """Return a client that opened the address printed by the server."""
    answer = stranger.get("/", params={"token": TOKEN})
    assert answer.status_code == 303
    assert TOKEN not in answer.headers["location"]
    return stranger


def sweep_of(catalogue: Catalogue, name: str):
    return next(summary.sweep for summary in catalogue.sweeps() if summary.sweep.name.startswith(name))


def csrf(page: str) -> str:
    return re.search(r'name="csrf" value="(\w+)"', page).group(1)


# ----------------------------------------------------------------------------------------------------------- pages


@pytest.mark.slow
def test_all_pages_show_what_the_catalogue_holds_and_run_nothing_of_it(browser, filled) -> None:
    catalogue, _ = filled
    done, failed = sweep_of(catalogue, "done"), sweep_of(catalogue, "failed")
    jobs = catalogue.jobs(sweep=done.gid)
    broken = catalogue.jobs(sweep=failed.gid)[0]
    words = {
        "/": ["waiting", "4 finished", "1 failed"],
        "/sweeps-table": ["waiting"],
        f"/sweeps/{done.gid}": ["coupling.a: 2 values", "GlobalVariance"],
        f"/sweeps/{done.gid}/chart": ["<svg", str(jobs[3].gid)],
        f"/sweeps/{done.gid}/chart?value=duration&x=model.tau": ["<svg", "model.tau"],
        f"/sweeps/{failed.gid}": ["it broke"],
        "/jobs": ["6 jobs"],
        "/jobs?where=coupling.a>0.015+and+model.tau=1.5": ["1 job", str(jobs[3].gid)],
        "/jobs?status=ERROR": ["1 job"],
        "/jobs?sort=-coupling.a": ["6 jobs"],
        "/jobs?page=99": ["6 jobs"],
        f"/jobs/{jobs[0].gid}": ["<svg", "TemporalAverage", "sha256", "rA1", "GlobalVariance"],
        f"/jobs/{jobs[0].gid}/series?start=5&stop=9&nodes=3,7-8": ["<svg", "5.5 to 8.5 ms"],
        f"/jobs/{broken.gid}": ["it broke", "job_failed"],
        f"/compare?a={jobs[0].gid}&b={jobs[1].gid}": ["model.tau", "differs"],
        "/compare": ["Compare two jobs"],
        "/workers": ["host:1"],
        "/bundles": ["No bundles yet"],
    }
    for path, expected in words.items():
        answer = browser.get(path)
        assert answer.status_code == 200, path
        assert [word for word in expected if word not in answer.text] == [], path
        assert EVIL not in answer.text
        assert "javascript:" not in answer.text


def test_a_file_is_downloaded_as_it_is(browser, filled) -> None:
    catalogue, settings = filled
    job = catalogue.jobs(sweep=sweep_of(catalogue, "done").gid)[0]
    output = catalogue.outputs([job.gid])[0]

    answer = browser.get(f"/outputs/{output.gid}/file")

    assert answer.content == settings.storage.absolute(output.path).read_bytes()
    assert "attachment" in answer.headers["content-disposition"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/nothing", 404),
        ("/jobs/00000000-0000-0000-0000-000000000000", 404),
        ("/sweeps/nobody", 404),
        ("/outputs/00000000-0000-0000-0000-000000000000/file", 404),
        ("/compare?a=nobody&b=nobody", 404),
    ],
)
def test_missing_things_give_a_page_with_a_message(browser, path: str, code: int) -> None:
    answer = browser.get(path)

    assert answer.status_code == code
    assert "That did not work" in answer.text


@pytest.mark.parametrize("text", ["coupling.a >", "'; DROP TABLE job; --", "(" * 500, "a = 1 or", "x" * 5000, "\x00"])
def test_an_invalid_filter_gives_one_line_on_the_page(browser, text: str) -> None:
    answer = browser.get("/jobs", params={"where": text})

    assert answer.status_code == 200
    assert 'class="fault"' in answer.text


@pytest.mark.parametrize("text", ["nan", "1e999", "-5", "abc", "9" * 300, "../../etc"])
def test_invalid_windows_and_nodes_are_ignored(browser, filled, text: str) -> None:
    catalogue, _ = filled
    job = catalogue.jobs(sweep=sweep_of(catalogue, "done").gid)[0]
    asked = {"start": text, "stop": text, "nodes": text, "variable": text, "mode": text}

    assert browser.get(f"/jobs/{job.gid}/series", params=asked).status_code == 200
    assert browser.get(f"/jobs/{job.gid}/series", params={"output": text}).status_code in (200, 404)


# ---------------------------------------------------------------------------------------------------------- actions


@pytest.mark.slow
def test_a_person_cancels_retries_and_makes_a_bundle(browser, filled) -> None:
    catalogue, settings = filled
    waiting, done = sweep_of(catalogue, "waiting"), sweep_of(catalogue, "done")
    token = csrf(browser.get(f"/sweeps/{waiting.gid}").text)

    answer = browser.post("/act", data={"csrf": token, "key": str(waiting.gid), "action": "cancel"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/sweeps/{waiting.gid}")
    assert catalogue.counts(waiting.gid) == {Status.CANCELED: 1}
    browser.post("/act", data={"csrf": token, "key": str(waiting.gid), "action": "retry"})
    assert catalogue.counts(waiting.gid) == {Status.PENDING: 1}
    browser.post("/act", data={"csrf": token, "key": str(waiting.gid), "action": "pause"})
    assert "Paused" in browser.get(f"/sweeps/{waiting.gid}").text
    browser.post("/act", data={"csrf": token, "key": str(waiting.gid), "action": "resume"})
    assert catalogue.paused([waiting.gid]) == set()

    browser.post("/act", data={"csrf": token, "key": str(done.gid), "action": "bundle"})
    wait_until(lambda: "download" in browser.get(f"/sweeps/{done.gid}").text, seconds=120)
    [made] = settings.storage.bundle("x").parent.glob("*.zip")
    assert browser.get(f"/bundles/{made.name}").content == made.read_bytes()


def test_a_bundle_that_cannot_be_made_is_reported(browser, filled) -> None:
    catalogue, _ = filled
    failed = sweep_of(catalogue, "failed")
    token = csrf(browser.get(f"/jobs/{catalogue.jobs(sweep=failed.gid)[0].gid}").text)

    browser.post("/act", data={"csrf": token, "key": str(failed.gid), "action": "bundle"})

    wait_until(lambda: "nothing to bundle" in browser.get("/bundles").text, seconds=60)


# --------------------------------------------------------------------------------------------------------- security


@pytest.mark.parametrize("path", ["/", "/jobs", "/workers", "/bundles", "/sweeps-table", "/?token=wrong", "/?token="])
def test_without_a_token_nothing_is_shown(stranger, path: str) -> None:
    answer = stranger.get(path)

    assert answer.status_code == 403
    assert "done" not in answer.text
    assert stranger.get(path, headers={"accept": "text/html"}).headers["location"] == "/login"


def test_the_token_may_be_typed(stranger) -> None:
    assert stranger.post("/login", data={"token": "wrong"}).status_code == 403
    assert stranger.get("/").status_code == 403

    assert stranger.post("/login", data={"token": TOKEN}).status_code == 303
    assert stranger.get("/").status_code == 200


def test_the_cookie_is_for_this_site_and_not_for_scripts(stranger) -> None:
    cookie = stranger.get("/", params={"token": TOKEN}).headers["set-cookie"]

    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost:1"])
def test_another_host_header_is_refused(browser, host: str) -> None:
    assert browser.get("/", headers={"host": host}).status_code == 400


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        ({}, {}),
        ({"csrf": "0" * 64}, {}),
        ({"csrf": "ours"}, {"origin": "http://evil.example"}),
        ({"csrf": "ours"}, {"origin": "null"}),
        ({"csrf": "ö"}, {}),
    ],
    ids=["no field", "wrong field", "other site", "null origin", "not ASCII"],
)
def test_a_form_of_another_site_does_nothing(browser, filled, data, headers) -> None:
    catalogue, _ = filled
    waiting = sweep_of(catalogue, "waiting")
    ours = csrf(browser.get(f"/sweeps/{waiting.gid}").text)
    sent = {**data, "key": str(waiting.gid), "action": "cancel"}
    sent |= {"csrf": ours} if data.get("csrf") == "ours" else {}

    answer = browser.post("/act", data=sent, headers=headers)

    assert answer.status_code == 403
    assert catalogue.counts(waiting.gid) == {Status.PENDING: 1}


def test_actions_need_a_form_and_not_only_an_address(browser, filled) -> None:
    catalogue, _ = filled
    waiting = sweep_of(catalogue, "waiting")
    token = csrf(browser.get(f"/sweeps/{waiting.gid}").text)

    answer = browser.get("/act", params={"csrf": token, "key": str(waiting.gid), "action": "cancel"})

    assert answer.status_code == 405
    assert catalogue.counts(waiting.gid) == {Status.PENDING: 1}
    form = {"csrf": token, "key": str(waiting.gid), "action": "__class__"}
    assert browser.post("/act", data=form).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/bundles/../catalogue.sqlite", "/bundles/..%2fcatalogue.sqlite", "/bundles/%2e%2e%2fcatalogue.sqlite",
        "/bundles/....//catalogue.sqlite", "/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py",
        "/bundles/%00", "/outputs/..%2f..%2fetc%2fpasswd/file",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_its_directory(browser, path: str) -> None:
    answer = browser.get(path)

    assert answer.status_code in (400, 404)
    assert b"SQLite" not in answer.content
    assert b"make_web" not in answer.content


def test_a_row_that_names_a_file_outside_the_data_directory_gives_none(browser, filled) -> None:
    catalogue, settings = filled
    job = catalogue.jobs(sweep=sweep_of(catalogue, "done").gid)[1]
    output = catalogue.outputs([job.gid])[0]
    path = settings.storage.absolute(output.path)
    kept = path.with_suffix(".kept")
    path.rename(kept)
    path.symlink_to("/etc/passwd")
    try:
        answer = browser.get(f"/outputs/{output.gid}/file")
        assert answer.status_code == 400
        assert b"root:" not in answer.content
    finally:
        path.unlink()
        kept.rename(path)


def test_huge_addresses_and_forms_are_refused(browser) -> None:
    assert browser.get("/jobs", params={"where": "a" * 9000}).status_code == 414
    assert browser.post("/act", data={"csrf": "x" * 70_000}).status_code == 413
    assert browser.post("/act", content=iter([b"csrf=x"])).status_code == 413


def test_a_token_in_an_address_of_two_slashes_leads_to_no_other_host(stranger, address) -> None:
    answer = stranger.get(f"{address}//evil.example/", params={"token": TOKEN})

    assert not answer.headers.get("location", "/x").startswith("//")


def test_every_answer_forbids_what_it_does_not_need(browser) -> None:
    for path in ("/", "/nothing", "/static/style.css", "/login"):
        headers = browser.get(path).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
