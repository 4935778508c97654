"""Pages in headless Chromium: what they ask for, what they say on the console, how light or dark they are."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")

CONTRAST = """
() => {
  const canvas = Object.assign(document.createElement("canvas"), {width: 1, height: 1}).getContext("2d");
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (colour) => {
    const [r, g, b] = rgba(colour).slice(0, 3).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if (rgba(colour)[3] === 255) return colour;
    }
    return getComputedStyle(document.body).backgroundColor;
  };
  const found = {};
  const grid = luminance(getComputedStyle(document.documentElement).getPropertyValue("--line").trim());
  const note = (element, colour, what) => {
    const [a, b] = [luminance(colour), luminance(behind(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const name = `${what} ${element.tagName} ${element.getAttribute("class") || ""}`;
    found[name] = Math.min(found[name] ?? 99, ratio);
  };
  for (const element of document.querySelectorAll("body *")) {
    const style = getComputedStyle(element);
    const text = [...element.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (element.ownerSVGElement) {
      if (["title", "g"].includes(element.tagName)) continue;
      if (!["line", "polyline"].includes(element.tagName) && style.fill !== "none") note(element, style.fill, "fill");
      else if (style.stroke !== "none" && luminance(style.stroke) !== grid) note(element, style.stroke, "stroke");
    } else if (text && !["SCRIPT", "STYLE"].includes(element.tagName)) note(element, style.color, "text");
  }
  return found;
}
"""
"""The least contrast (WCAG 2) of the texts, bars and marks of a page with what is behind them, by kind of element."""


class Tab:
    """An open page, with all that it asked for and all that it said on the console."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.asked: list[str] = []
        self.said: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))

    def texts(self, selector: str) -> list[str]:
        """Return the texts of the elements that are seen."""
        texts = self.page.locator(selector).filter(visible=True).all_inner_texts()
        return [text.replace("\xa0", " ").strip() for text in texts]


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield a headless Chromium of the system."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, path: Path, width: int = 1280, **options: Any) -> Iterator[Tab]:
    """Yield an open page; ``options`` are those of a context of Playwright (color_scheme, java_script_enabled, …)."""
    context = browser.new_context(viewport={"width": width, "height": 900}, **options)
    tab = Tab(context.new_page())
    tab.page.goto(path.absolute().as_uri())
    yield tab
    context.close()
