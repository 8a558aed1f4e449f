"""The page in a real browser, opened from disk."""

import os
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pages
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from bench.report.page import write_page
from bench.report.publish import publish_site
from bench.report.write import write_report

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        reason = f"none of {', '.join(NAMES)} is installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("page & 100%")
    write_page(folder / "index.html", pages.page(folder))
    return (folder / "index.html").as_uri()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(color_scheme="light")
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, address: str) -> Iterator[Page]:
    """The open page; at the end, it must have complained of nothing and asked for nothing."""
    page = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    unfold(page)
    yield page
    assert complaints == []
    assert {url for url in asked if not url.startswith("data:")} == {address}


def unfold(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")


def column(page: Page, table: str, number: int) -> list[str]:
    """The first word of each visible cell, without the sign of a tie."""
    cells = page.locator(f"#table-{table} tbody tr:visible > :nth-child({number})")
    return [text.split()[0].rstrip("≈") for text in cells.all_inner_texts()]


def header(page: Page, table: str, number: int):
    return page.locator(f"#table-{table} thead th:nth-child({number})")


def orders(page: Page, table: str) -> list[str | None]:
    headers = page.locator(f"#table-{table} thead th").all()
    return [found.get_attribute("aria-sort") for found in headers]


def test_a_numeric_column_sorts_by_value_and_back(page: Page) -> None:
    original = ["10.0", "9.0", "–", "100.0", "90.0"]
    assert column(page, "summary", 3) == original
    button = header(page, "summary", 3).get_by_role("button")
    button.click()
    assert column(page, "summary", 3) == ["100.0", "90.0", "10.0", "9.0", "–"]
    assert orders(page, "summary") == ["none", "none", "descending"]
    button.click()
    assert column(page, "summary", 3) == ["9.0", "10.0", "90.0", "100.0", "–"]
    assert orders(page, "summary") == ["none", "none", "ascending"]
    button.click()
    assert column(page, "summary", 3) == original
    assert orders(page, "summary") == ["none", "none", "none"]


def test_text_sorts_from_a_with_the_keyboard(page: Page) -> None:
    button = header(page, "summary", 1).get_by_role("button")
    button.focus()
    page.keyboard.press("Enter")
    assert column(page, "summary", 1) == ["hundred", "nine", "ninety", "none", "ten"]
    page.keyboard.press("Space")
    assert column(page, "summary", 1) == ["ten", "none", "ninety", "nine", "hundred"]
    header(page, "summary", 2).get_by_role("button").click()
    assert orders(page, "summary") == ["none", "descending", "none"]
    assert column(page, "summary", 2) == ["4", "3", "2", "1", "0"]


def test_differences_sort_by_their_value(page: Page) -> None:
    header(page, "pairs", 3).get_by_role("button").click()
    assert column(page, "pairs", 3) == ["+80.0", "+1.0"]
    expect(page.locator("#table-pairs strong")).to_have_text(["+80.0"])
    expect(page.locator("#table-pairs .remark")).to_have_text(["not distinguishable"])


def test_a_filter_keeps_the_rows_with_all_its_words(page: Page) -> None:
    box = page.locator("#table-many").get_by_label("Filter rows")
    count = page.locator("#table-many").get_by_role("status")
    box.fill("ROW 1")
    shown = page.locator("#table-many tbody tr:visible th").all_inner_texts()
    assert shown == [f"row {i}" for i in range(60) if "1" in f"{i} {i * 37 % 60}"]
    expect(count).to_have_text(f"{len(shown)} of 60 rows")
    box.fill("row nothing")
    assert column(page, "many", 1) == []
    box.fill("")
    expect(count).to_have_text("60 rows")


def test_a_filter_survives_sorting(page: Page) -> None:
    page.locator("#table-many").get_by_label("Filter rows").fill("row 5")
    header(page, "many", 2).get_by_role("button").click()
    wanted = sorted((v for i in range(60) if "5" in f"{i} {(v := i * 37 % 60)}"), reverse=True)
    assert column(page, "many", 2) == list(map(str, wanted))


def test_hidden_classifiers_leave_all_tables(page: Page) -> None:
    page.get_by_label("ten", exact=True).uncheck()
    assert column(page, "summary", 1) == ["nine", "none", "hundred", "ninety"]
    assert column(page, "pairs", 1) == []  # both rows name it
    assert len(column(page, "many", 1)) == 60  # names no classifier
    page.get_by_role("button", name="None", exact=True).click()
    assert column(page, "summary", 1) == []
    page.get_by_label("ten", exact=True).check()
    assert column(page, "summary", 1) == ["ten"]
    page.get_by_role("button", name="All", exact=True).click()
    assert len(column(page, "summary", 1)) == 5
    assert column(page, "pairs", 1) == ["ten", "ninety"]


def test_intervals_can_be_hidden(page: Page) -> None:
    ranges = page.locator("#table-summary .range")
    expect(ranges).to_have_count(4)
    expect(ranges.first).to_be_visible()
    button = page.get_by_role("button", name="Intervals")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    expect(ranges.first).to_be_hidden()


def background(page: Page) -> str:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_the_theme_is_the_readers_and_is_remembered(page: Page) -> None:
    button = page.get_by_role("button", name="Dark")
    light = background(page)
    expect(button).to_have_attribute("aria-pressed", "false")
    button.click()
    dark = background(page)
    assert dark != light
    expect(button).to_have_attribute("aria-pressed", "true")
    page.evaluate("location.reload()")
    page.wait_for_selector("html[data-ready][data-theme=dark]")
    assert background(page) == dark
    page.emulate_media(media="print")
    assert background(page) == "rgba(0, 0, 0, 0)"


def test_names_are_shown_letter_by_letter_and_none_of_them_runs(page: Page) -> None:
    shown = page.locator("#table-hostile tbody th").all_text_contents()
    assert shown == list(pages.HOSTILE)
    boxes = page.locator("#classifiers label").all_text_contents()
    assert [text.strip() for text in boxes][-len(pages.HOSTILE) :] == list(pages.HOSTILE)
    assert page.title() == f"Robustness {pages.TEX}"
    expect(page.locator("h1")).to_have_text(f"Robustness {pages.TEX}")
    expect(page.locator("header > p").nth(1)).to_have_text(pages.SCRIPT)
    expect(page.locator(".missing li")).to_have_text(f"{pages.SCRIPT} on faces: not finished")
    expect(page.locator("figcaption")).to_have_text(f"A line {pages.TEX}")
    assert page.locator("figure img").get_attribute("alt") == f"Line {pages.SCRIPT}"
    code = page.locator("pre code").text_content()
    assert code == f"bench run robustness --out '{pages.SCRIPT}'\n"
    page.get_by_role("checkbox", name=pages.SCRIPT).uncheck()
    header(page, "hostile", 1).get_by_role("button").click()
    assert len(column(page, "hostile", 1)) == len(pages.HOSTILE) - 1
    assert page.evaluate("window.hacked") is None


def test_what_the_policy_forbids_does_not_run(context: BrowserContext, address: str) -> None:
    page = context.new_page()
    page.goto(address)
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.hacked = 1";
            document.body.append(script);
        }"""
    )
    assert page.evaluate("window.hacked") is None


def test_the_picture_is_drawn(page: Page) -> None:
    picture = page.locator("figure img")
    picture.scroll_into_view_if_needed()
    picture.evaluate("image => image.decode()")  # raises for a broken one
    assert picture.bounding_box()["width"] >= 192


def test_a_command_is_copied_or_selected(page: Page, context: BrowserContext) -> None:
    wanted = page.locator("pre code").text_content()
    button = page.locator(".copy")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    button.click()
    expect(button).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == wanted
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(); }")
    button.click()
    expect(button).to_have_text("Selected")
    assert page.evaluate("getSelection().toString()").strip() == wanted.strip()


def test_without_javascript_everything_can_be_read(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert page.locator("button:visible, input:visible").count() == 0
    for summary in page.locator("details > summary").all():
        summary.click()
    assert page.locator("table:visible").count() == page.locator("table").count() == 5
    assert page.locator("#table-many tbody tr:visible").count() == 60
    expect(page.locator("#table-summary thead th").first).to_have_text("classifier")
    context.close()


def test_headings_descend_one_by_one_from_a_single_first(page: Page) -> None:
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_tables_and_controls_have_names(page: Page) -> None:
    unscoped = "table th:not([scope=col]):not([scope=row])"
    assert page.locator(unscoped).count() == 0
    for table in page.locator("table").all():
        assert table.locator("caption").text_content().strip()
    unnamed = page.evaluate(
        """[...document.querySelectorAll("input")].filter(
            (input) => ![...input.labels].some((label) => label.textContent.trim())).length"""
    )
    assert unnamed == 0
    for button in page.locator("button").all():
        assert button.text_content().strip()
    for image in page.locator("img").all():
        assert image.get_attribute("alt")
    for landmark in ("main", "navigation", "complementary"):
        assert page.get_by_role(landmark).count() == 1


def test_the_keyboard_skips_to_the_results_and_scrolls_tables(page: Page) -> None:
    page.set_viewport_size({"width": 260, "height": 844})
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the results")
    expect(skip).to_be_focused()
    assert skip.bounding_box()["y"] >= 0  # seen while it has the focus
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    region = page.locator("#table-pairs .scroller")
    region.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(500)  # scrolling is animated
    assert region.evaluate("box => [box.scrollWidth > box.clientWidth, box.scrollLeft > 0]") == [
        True,
        True,
    ]


@pytest.mark.parametrize("width", [390, 420, 700, 1120, 1400])
def test_the_page_itself_never_scrolls_sideways(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_an_anchor_opens_its_chapter(context: BrowserContext, address: str) -> None:
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    assert page.locator("#table-pairs").is_hidden() and page.locator("#table-summary").is_visible()
    page.get_by_role("link", name="Pairs").first.click()
    expect(page.locator("#table-pairs")).to_be_visible()
    assert page.locator("#table-many").is_hidden()
    other = context.new_page()
    other.goto(f"{address}#table-many")
    expect(other.locator("#table-many")).to_be_visible()


def test_a_report_fits_two_screens_before_it_is_unfolded(
    context: BrowserContext, out: Path
) -> None:
    write_report(out)
    page = context.new_page()
    for width in (1400, 420):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto((out / "report" / "index.html").as_uri())
        page.wait_for_selector("html[data-ready]")
        assert page.evaluate("document.documentElement.scrollHeight") <= 4000
        assert page.evaluate("document.documentElement.scrollWidth") == width
        expect(page.locator(".findings li").first).to_contain_text("Clean: ")
        unfold(page)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        for section in page.locator("main > section").all():
            assert section.locator("table, img, li, pre").count()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_barrier(
    browser: Browser, address: str, out: Path, scheme: Literal["light", "dark"]
) -> None:
    """Contrast, names, landmarks, headings, tables, keyboard: the rules of axe-core."""
    write_report(out)
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    for opened in (address, (out / "report" / "index.html").as_uri()):
        page.goto(opened)
        page.wait_for_selector("html[data-ready]")
        unfold(page)
        found = Axe().run(page).response
        assert [f"{own['id']}: {own['nodes'][0]['html']}" for own in found["violations"]] == []
        assert len(found["passes"]) > 30
    context.close()


def test_a_leaderboard_is_read_filtered_and_printed_like_a_report(
    browser: Browser, runs: list[Path], tmp_path: Path
) -> None:
    """Without a barrier, without a script, at any width; names of others do nothing."""
    address = publish_site(runs, tmp_path / "site").as_uri()
    plain = browser.new_context(java_script_enabled=False).new_page()
    plain.goto(address)
    assert plain.locator("#table-leaderboard tbody tr:visible").count() == 4
    assert plain.locator("select:visible, input:visible, button:visible").count() == 0
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        page = browser.new_context(color_scheme=scheme).new_page()
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        unfold(page)
        found = Axe().run(page).response
        assert [f"{own['id']}: {own['nodes'][0]['html']}" for own in found["violations"]] == []
    for width in (1400, 420):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("window.hacked") is None

    cells = page.locator("#table-cells tbody tr:visible")
    assert cells.count() == 8
    page.locator("#table-cells").get_by_label("perturbation").select_option("gaussian_noise")
    assert cells.count() == 2
    page.locator("#table-cells").get_by_label("data set").select_option("=others/x")
    assert cells.count() == 0
    page.locator("#table-cells").get_by_label("perturbation").select_option("all")
    assert cells.count() == 2
    board = page.locator("#table-leaderboard")
    board.get_by_label("data set").select_option("faces")
    assert board.locator("tbody tr:visible").count() == 2
    board.get_by_role("button", name="clean").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    first = board.locator("tbody tr:visible th").first
    expect(first).to_have_text("ResNet-18")  # the lowest
    link = board.locator("tbody tr:visible a").first
    with page.expect_navigation():
        link.focus()
        page.keyboard.press("Enter")
    assert page.url.endswith(".json") and "/manifests/a-run-more/" in page.url


def test_paper_has_all_rows_and_no_controls(page: Page) -> None:
    page.emulate_media(media="print")
    assert page.locator("button:visible:not(thead button)").count() == 0
    assert page.locator("input:visible, nav:visible").count() == 0
    heights = page.evaluate(
        """[...document.querySelectorAll(".scroller")].map(
            (box) => [box.clientHeight, box.scrollHeight])"""
    )
    assert all(shown >= whole for shown, whole in heights)
