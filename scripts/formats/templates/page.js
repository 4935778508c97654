"use strict";
/* Sorts and filters tables, shows what a mark of a chart is, copies a text. A table is one of class "data". */
(() => {
  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const number = new Intl.NumberFormat("en");

  const keyOf = (cell, numeric) => {
    const text = cell.dataset.v ?? cell.textContent.trim();
    if (!numeric) return text === "–" ? "" : text;
    const value = parseFloat(text.replaceAll(",", ""));
    return Number.isNaN(value) ? null : value;
  };
  const compare = (a, b, numeric) => (numeric ? a - b : a.localeCompare(b, "en", { numeric: true }));

  const sortBy = (table, head, column) => {
    const numeric = head.classList.contains("n");
    const first = numeric ? "descending" : "ascending";
    const other = numeric ? "ascending" : "descending";
    const order = head.getAttribute("aria-sort") === first ? other : first;
    for (const each of head.parentNode.cells) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [keyOf(row.cells[column], numeric), row]);
    const empty = (key) => key === null || key === "";
    rows.sort(([a], [b]) => (empty(a) || empty(b) ? empty(a) - empty(b) : sign * compare(a, b, numeric)));
    body.append(...rows.map(([, row]) => row));
  };

  const addSorting = (table) => {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      if (head.classList.contains("g") || table.tBodies[0].rows.length < 2) return;
      const button = make("button", { type: "button" }, ...head.childNodes);
      button.addEventListener("click", () => sortBy(table, head, column));
      head.append(button);
    });
  };

  const addFilter = (table) => {
    const rows = [...table.tBodies[0].rows];
    if (rows.length < 8) return;
    let texts; /* made when they are first needed: a page of thousands of rows opens at once */
    const input = make("input", { type: "search", autocomplete: "off", spellcheck: false });
    const count = make("output", { className: "count" });
    const filter = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      texts ??= rows.map((row) => row.textContent.toLowerCase());
      let shown = 0;
      rows.forEach((row, index) => {
        row.hidden = !words.every((word) => texts[index].includes(word));
        shown += !row.hidden;
      });
      count.textContent = `${number.format(shown)} of ${number.format(rows.length)} rows`;
    };
    input.addEventListener("input", filter);
    count.textContent = `${number.format(rows.length)} of ${number.format(rows.length)} rows`;
    const label = make("label", {}, `Search ${table.dataset.noun || "the table"}: `, input);
    table.parentNode.before(make("div", { className: "filter" }, label, count));
    table.filter = (words) => {
      input.value = words;
      filter();
      input.focus({ preventScroll: true });
    };
  };

  for (const table of document.querySelectorAll("table.data")) {
    addSorting(table);
    addFilter(table);
  }

  /* A link with data-filter goes to a table and shows its rows with these words. */
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-filter]");
    const target = link && document.getElementById(decodeURIComponent(link.hash.slice(1)));
    const table = target?.querySelector("table.data");
    if (!table?.filter) return;
    event.preventDefault(); /* else the focus leaves the search field */
    table.filter(link.dataset.filter);
    target.scrollIntoView();
  });

  /* Long tables are laid out when they are scrolled to, or as soon as there is nothing else to do. */
  addEventListener("load", () => {
    (window.requestIdleCallback ?? setTimeout)(() => document.documentElement.classList.add("whole"));
  });

  const hint = make("div", { id: "hint", hidden: true });
  hint.setAttribute("role", "tooltip");
  document.body.append(hint);
  const hide = () => { hint.hidden = true; };
  const show = (event) => {
    const mark = event.target.closest?.("svg [data-hint], svg :has(> title)");
    if (!mark) return hide();
    const title = mark.querySelector(":scope > title");
    if (title) { /* else the browser shows it once more, a second later */
      mark.dataset.hint = title.textContent;
      title.remove();
    }
    hint.textContent = mark.dataset.hint;
    hint.hidden = false;
    const { width, height } = hint.getBoundingClientRect();
    const right = document.documentElement.clientWidth;
    hint.style.left = `${Math.max(4, Math.min(event.clientX + 14, right - width - 4))}px`;
    hint.style.top = `${event.clientY > height + 24 ? event.clientY - height - 12 : event.clientY + 18}px`;
  };
  document.addEventListener("pointerover", show);
  document.addEventListener("pointerdown", show);
  document.addEventListener("scroll", hide, true);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });

  for (const text of document.querySelectorAll("[data-copy]")) {
    const button = make("button", { type: "button", className: "button" }, "Copy");
    button.addEventListener("click", async () => {
      const range = document.createRange();
      range.selectNodeContents(text);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      const done = document.execCommand("copy");
      button.textContent = done ? "Copied" : "Selected: press Ctrl+C";
    });
    text.before(button);
  }
})();
