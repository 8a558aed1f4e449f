"use strict";
// Sorting, filtering, theme and copying. In the head, so that a chosen theme is there before the
// first paint; everything else waits for the document.

const root = document.documentElement;

// Files from disk may have no storage; then a choice lasts as long as the page.
function remembered(name) {
  try { return localStorage.getItem(name); } catch { return null; }
}

function remember(name, value) {
  try { localStorage.setItem(name, value); } catch { /* see above */ }
}

const chosenTheme = remembered("theme");
if (chosenTheme === "light" || chosenTheme === "dark") root.dataset.theme = chosenTheme;
if (remembered("intervals") === "off") root.dataset.intervals = "off";

document.addEventListener("DOMContentLoaded", () => {
  for (const control of document.querySelectorAll(".needs-script")) control.hidden = false;
  for (const table of document.querySelectorAll("table")) makeSortable(table);
  setUpTheme(document.getElementById("theme"));
  setUpIntervals(document.getElementById("intervals"));
  setUpClassifiers(document.getElementById("classifiers"));
  openTarget();
  window.addEventListener("hashchange", openTarget);
  document.addEventListener("click", onClick);
  document.addEventListener("input", onInput);
  root.dataset.ready = "";
});

// An address inside a folded chapter opens it; so does a second click on the same link.
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let node = target; node; node = node.parentElement) {
    if (node.tagName === "DETAILS") node.open = true;
  }
  const chapter = target.querySelector(":scope > details");
  if (chapter) chapter.open = true;
  target.scrollIntoView();
}

function onClick(event) {
  if (event.target.closest("a[href^='#']")) setTimeout(openTarget);
  const button = event.target.closest("button");
  if (!button) return;
  if (button.closest("thead")) sortBy(button.closest("th"));
  if (button.classList.contains("copy")) copy(button);
}

function onInput(event) {
  if (event.target.matches(".filter, .choice")) showRows(event.target.closest(".table"));
}

// --- Sorting -------------------------------------------------------------------------------------

const originalRows = new WeakMap(); // table -> its rows as they were written
const collator = new Intl.Collator("en", { numeric: true });

function makeSortable(table) {
  for (const header of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    header.setAttribute("aria-sort", "none");
  }
}

// Numbers begin with the largest and text with A; the third click brings the first order back.
function sortBy(header) {
  const table = header.closest("table");
  const body = table.tBodies[0];
  if (!originalRows.has(table)) originalRows.set(table, [...body.rows]);
  const numeric = header.classList.contains("number");
  const orders = numeric ? ["descending", "ascending", "none"] : ["ascending", "descending", "none"];
  const order = orders[(orders.indexOf(header.getAttribute("aria-sort")) + 1) % 3];
  for (const other of header.parentNode.cells) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", order);
  body.replaceChildren(...sorted(originalRows.get(table), header.cellIndex, numeric, order));
}

function sorted(rows, column, numeric, order) {
  if (order === "none") return rows;
  const sign = order === "ascending" ? 1 : -1;
  const keyed = rows.map((row) => ({ row, key: sortKey(row.cells[column], numeric) }));
  keyed.sort((a, b) => {
    if (a.key === null || b.key === null) return (a.key === null) - (b.key === null); // last
    return sign * (numeric ? a.key - b.key : collator.compare(a.key, b.key));
  });
  return keyed.map(({ row }) => row);
}

function sortKey(cell, numeric) {
  if (numeric) return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  const text = cell.textContent.trim();
  return text === "–" ? null : text;
}

// --- Filtering -----------------------------------------------------------------------------------

const hiddenClassifiers = new Set();
const rowTexts = new WeakMap(); // row -> its text in lower case

function textOf(row) {
  if (!rowTexts.has(row)) {
    const cells = [...row.cells].map((cell) => cell.textContent);
    rowTexts.set(row, cells.join(" ").toLowerCase());
  }
  return rowTexts.get(row);
}

// A row shows if it has every word of the filter and every value that is chosen, and if none of its
// classifiers is hidden.
function showRows(block) {
  const filter = block.querySelector(".filter");
  const words = filter ? filter.value.toLowerCase().split(/\s+/).filter(Boolean) : [];
  const chosen = [...block.querySelectorAll(".choice")].filter((choice) => choice.value);
  const rows = block.querySelector("tbody").rows;
  let shown = 0;
  for (const row of rows) {
    const classifiers = (row.dataset.classifiers ?? "").split(" ");
    row.hidden =
      classifiers.some((name) => hiddenClassifiers.has(name)) ||
      chosen.some(({ dataset, value }) =>
        row.cells[dataset.column].textContent.trim() !== value.trim()) ||
      (words.length > 0 && !words.every((word) => textOf(row).includes(word)));
    shown += !row.hidden;
  }
  const count = block.querySelector(".count");
  if (count) {
    count.textContent =
      shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
  }
}

function setUpClassifiers(form) {
  if (!form) return;
  const boxes = [...form.querySelectorAll("input")];
  const update = () => {
    hiddenClassifiers.clear();
    for (const box of boxes) if (!box.checked) hiddenClassifiers.add(box.value);
    for (const block of document.querySelectorAll(".table")) showRows(block);
    const shown = boxes.length - hiddenClassifiers.size;
    form.querySelector("[role=status]").textContent = `${shown} of ${boxes.length} classifiers`;
  };
  form.addEventListener("change", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const button of form.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      for (const box of boxes) box.checked = button.value === "all";
      update();
    });
  }
}

// --- Looks ---------------------------------------------------------------------------------------

function setUpTheme(button) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const update = () => button.setAttribute("aria-pressed", String(isDark()));
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    remember("theme", root.dataset.theme);
    update();
  });
  system.addEventListener("change", update);
  update();
}

function setUpIntervals(button) {
  const update = () => button.setAttribute("aria-pressed", root.dataset.intervals !== "off");
  button.addEventListener("click", () => {
    root.dataset.intervals = root.dataset.intervals === "off" ? "on" : "off";
    remember("intervals", root.dataset.intervals);
    update();
  });
  update();
}

// --- Copying -------------------------------------------------------------------------------------

async function copy(button) {
  const code = button.parentNode.querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(code); // no permission: the reader presses the keys
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}
