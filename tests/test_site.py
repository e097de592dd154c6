"""The site builds without a warning, its links lead somewhere, and a browser shows it well."""

import functools
import os
import shutil
import subprocess
import sys
import threading
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from filelock import FileLock

import sklearn_cnn
from sklearn_cnn import architectures, inspection, metrics, model_selection, plots

pytest.importorskip("sphinx_gallery", reason="the site needs sklearn-cnn[docs]")

ROOT = Path(__file__).parents[1]
GENERATED = shutil.ignore_patterns("_build", "api", "auto_examples", "repository", "__pycache__")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site in a copy of what it is made of, without running examples."""
    # one build for all workers of pytest-xdist, whose folders lie in one
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    source, pages = shared / "site", shared / "site" / "pages"
    with FileLock(shared / "site.lock"):
        if not source.exists():
            for folder in ("docs", "benchmarks/results", "sklearn_cnn"):
                shutil.copytree(ROOT / folder, source / folder, ignore=GENERATED)
            shutil.copy(ROOT / "CHANGELOG.md", source)
            quick = ["-q", "-W", "--keep-going", "-b", "html", "-D", "plot_gallery=0"]
            command = [sys.executable, "-m", "sphinx", *quick, str(source / "docs"), str(pages)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            (source / "warnings").write_text(done.stderr if done.returncode else "")
    return pages


def test_the_site_builds_without_a_warning(site):
    assert (site.parent / "warnings").read_text() == ""
    assert (site / "index.html").exists()


class Page(HTMLParser):
    """What a page links to, and what may be linked to on it."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors.add(attrs.get("id"))
        for name in ("href", "src"):
            if tag != "link" and attrs.get(name):
                self.links.add(attrs[name])


def test_links_of_the_site_lead_somewhere(site):
    paths = [path for path in site.rglob("*.html") if "_static" not in path.parts]
    pages = {path.as_uri(): Page(path) for path in paths}
    dead = set()
    for address, page in pages.items():
        for link in page.links:
            target, _, anchor = urljoin(address, link).partition("#")
            path = Path(unquote(urlsplit(target).path))
            if not target.startswith("file:"):
                continue
            on_a_page = anchor and target in pages
            there = unquote(anchor) in pages[target].anchors if on_a_page else path.exists()
            if not there:
                dead.add((Path(address).name, link))
    assert len(pages) > 80
    assert dead == set()


def test_each_public_name_has_a_page(site):
    for module in (sklearn_cnn, architectures, inspection, metrics, model_selection, plots):
        for name in module.__all__:
            pages = list((site / "api").glob(f"sklearn_cnn.*{name}.html"))
            assert any(page.stem.split(".")[-1] == name for page in pages), name
    classifier = (site / "api" / "sklearn_cnn.CNNClassifier.html").read_text(encoding="utf-8")
    assert 'id="sklearn_cnn.CNNClassifier.fit"' in classifier
    assert "sklearn_cnn.CNNClassifier.set_fit_request" not in classifier
    assert "../auto_examples/quickstart.html" in classifier


def test_examples_that_are_not_run_show_what_was_measured(site):
    page = (site / "auto_examples" / "age.html").read_text(encoding="utf-8")
    assert "This script is not run" in page
    assert 'alt="Test scores of age"' in page
    small = [site / "_images" / f"sphx_glr_{name}_thumb.svg" for name in ("age", "drawings")]
    assert small[0].read_bytes() != small[1].read_bytes()
    page = (site / "auto_examples" / "quickstart.html").read_text(encoding="utf-8")
    assert "This script is not run" not in page


@pytest.fixture(scope="module")
def address(site):
    """Serve the site, as a search in it needs, and return its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    """Start a headless Chromium."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no Chromium here: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    # as root, and in containers
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield started
    started.quit()


def show(browser, address, width=1200, scheme="light"):
    """Open a page in a window of so many pixels, in the light or the dark theme."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    theme = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": theme})
    browser.get(address)


PAGES = [
    "index.html",
    "README.html",
    "architectures.html",
    "coming_from.html",
    "searches.html",
    "results.html",
    "api/index.html",
    "api/sklearn_cnn.CNNClassifier.html",
    "auto_examples/index.html",
    "auto_examples/age.html",
    "repository/benchmarks/results/tasks.html",
]
# the natural width of an image that is not loaded is 0; those below the window are loaded late
BROKEN = """
for (const image of document.images) image.loading = 'eager';
return [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src);
"""
# what reaches beyond the window and cannot be scrolled to
CUT_OFF = """
const scrolls = e => e && (/auto|scroll/.test(getComputedStyle(e).overflowX) ||
    scrolls(e.parentElement));
return [...document.querySelectorAll('article *')]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !scrolls(e.parentElement))
    .map(e => e.outerHTML.slice(0, 100));
"""


def errors(browser):
    """Return what the console said since it was last asked, but for the theme's own remarks."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] != "INFO"]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_whole(page, browser, address):
    from selenium.webdriver.support.ui import WebDriverWait

    show(browser, f"{address}/{page}")
    WebDriverWait(browser, 20).until(lambda b: not b.execute_script(BROKEN))
    assert errors(browser) == []


@pytest.mark.parametrize("page", PAGES)
def test_a_narrow_page_can_be_read(page, browser, address):
    show(browser, f"{address}/{page}", width=400)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 400
    assert browser.execute_script(CUT_OFF) == []


def test_search_answers(browser, address):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    show(browser, f"{address}/search.html?q=GridSearchCV")
    # answers come one after the other
    guide = (By.CSS_SELECTOR, "#search-results li a[href*='searches.html']")
    WebDriverWait(browser, 30).until(lambda b: b.find_elements(*guide))
    assert errors(browser) == []


# contrast of two colours by the Web Content Accessibility Guidelines
CONTRAST = """
const light = c => c.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const of = (e, name) => getComputedStyle(document.querySelector(e)).getPropertyValue(name);
const [a, b] = [light(of(arguments[0], 'color')), light(of('body', 'background-color'))];
return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_themes(scheme, browser, address):
    show(browser, f"{address}/getting_started.html", scheme=scheme)
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    for element in ("article p", "article h1", "article p a", "article td"):
        assert browser.execute_script(CONTRAST, element) >= 4.5, element
