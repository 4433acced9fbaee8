"use strict";
// Sorting, searching, opening. Without this script the page shows everything, opened.
(() => {
  document.documentElement.classList.add("js");

  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  const announce = (text) => { document.getElementById("announcement").textContent = text; };

  // A row and what belongs below it move together.
  const pairs = (table) => [...table.tBodies[0].rows].filter((r) => !r.matches(".detail")).map((row) => {
    const next = row.nextElementSibling;
    return { row, detail: next && next.matches(".detail") ? next : null };
  });

  function sort(table, heading, order) {
    const column = heading.cellIndex, numbers = heading.dataset.kind === "number";
    const key = ({ row }) => {
      const cell = row.cells[column], text = cell.dataset.v ?? cell.textContent.trim();
      return numbers ? (text === "" ? -Infinity : parseFloat(text)) : text;
    };
    const keyed = pairs(table).map((pair) => [key(pair), pair]);
    const sign = order === "ascending" ? 1 : -1;
    // A comparison of equals is 0 both ways, so that they keep the order they have (also where both are -Infinity).
    keyed.sort(([a], [b]) => sign * (numbers ? (a < b ? -1 : a > b ? 1 : 0) : collator.compare(a, b)));
    const rows = document.createDocumentFragment();
    for (const [, { row, detail }] of keyed) {
      rows.append(row);
      if (detail) rows.append(detail);
    }
    table.tBodies[0].append(rows);
    for (const th of table.tHead.rows[0].cells) th.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", order);
    announce(`Sorted by ${heading.dataset.name || heading.textContent.trim()}, ${order}.`);
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const heading of table.tHead.rows[0].cells) {
      const button = heading.querySelector("button");
      if (!button) continue;
      button.addEventListener("click", () => {
        const now = heading.getAttribute("aria-sort");
        const first = heading.dataset.first || "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        sort(table, heading, now === first ? other : first);
      });
    }
  }

  const table = document.getElementById("students");
  if (!table) return;

  function open({ row, detail }, wanted) {
    row.querySelector(".open-row").setAttribute("aria-expanded", String(wanted));
    detail.classList.toggle("open", wanted);
  }

  const all = pairs(table);
  for (const pair of all) {
    const button = pair.row.querySelector(".open-row");
    pair.row.addEventListener("click", (event) => {
      // A click beside the name opens too, unless it ends a selection of text.
      if (!event.target.closest(".open-row") && String(getSelection())) return;
      open(pair, button.getAttribute("aria-expanded") !== "true");
    });
  }

  const search = document.getElementById("search");
  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/\s+/g, " ");
  // Names, scores, badges; notes and diagnoses from below. Read once, at the first search.
  let texts = null;
  const words = ({ row, detail }) =>
    plain([row.textContent, ...[...detail.querySelectorAll(".looks, .notes")].map((e) => e.textContent)].join("\n"));

  function filter() {
    const wanted = plain(search.value).trim();
    const phrase = wanted.length > 2 && wanted.startsWith('"') && wanted.endsWith('"');
    const terms = phrase ? [wanted.slice(1, -1)] : wanted.split(" ").filter(Boolean);
    texts ??= new Map(all.map((pair) => [pair.row, words(pair)]));
    let shown = 0;
    for (const { row, detail } of all) {
      const fits = terms.every((term) => texts.get(row).includes(term));
      row.hidden = detail.hidden = !fits;
      shown += fits;
    }
    document.getElementById("count").textContent =
      shown === all.length ? `${shown} shown` : `${shown} of ${all.length} shown`;
  }
  search.addEventListener("input", filter);
  filter();

  for (const button of document.querySelectorAll("button.who")) {
    button.addEventListener("click", () => {
      search.value = `"${button.closest("tr").querySelector(".mistake").textContent.trim()}"`;
      filter();
      document.getElementById("submissions").scrollIntoView();
      search.focus({ preventScroll: true });
    });
  }

  // A link to a submission (from the list of what needs doing) opens it.
  for (const link of document.querySelectorAll("a[data-row]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      search.value = "";
      filter();
      const pair = all.find(({ row }) => row.id === link.dataset.row);
      open(pair, true);
      pair.row.scrollIntoView();
      pair.row.querySelector(".open-row").focus({ preventScroll: true });
    });
  }

  document.getElementById("open-all").addEventListener("click", () => {
    for (const pair of all) if (!pair.row.hidden) open(pair, true);
  });
  document.getElementById("close-all").addEventListener("click", () => {
    for (const pair of all) open(pair, false);
  });

  // On paper nothing can be opened: what belongs to the class, and to students who are open, is printed whole.
  let unfolded = [];
  addEventListener("beforeprint", () => {
    unfolded = [...document.querySelectorAll("details:not([open])")].filter((d) => d.checkVisibility?.() ?? true);
    for (const details of unfolded) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of unfolded) details.open = false;
  });
})();
