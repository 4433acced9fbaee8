"use strict";
// Points and comments by keyboard, kept in this browser until they are saved as the CSV file that `merge` takes.
(() => {
  document.documentElement.classList.add("js");
  const settings = JSON.parse(document.body.dataset.settings);
  const articles = [...document.querySelectorAll("article")];
  const field = (article) => article.querySelector(".points");
  const comment = (article) => article.querySelector(".comment");
  const announce = (text) => { document.getElementById("announcement").textContent = text; };
  const warn = (text) => {
    const warning = document.getElementById("warning");
    warning.textContent = text;
    warning.hidden = false;
  };

  // What this browser keeps, by answer: an answer that has changed has another id. No name is kept.
  const place = (article) => `written:${settings.key}:${article.dataset.id}`;
  const lost = "This browser does not keep what you enter here. Save the CSV file before you close the page.";
  function keep(article) {
    const now = { points: field(article).value.trim(), comment: comment(article).value };
    try { localStorage.setItem(place(article), JSON.stringify(now)); } catch { warn(lost); }
  }
  function recall(article) {
    try {
      const kept = JSON.parse(localStorage.getItem(place(article)) ?? "null");
      if (kept) [field(article).value, comment(article).value] = [String(kept.points), String(kept.comment)];
    } catch { warn(lost); }
  }

  // The points of an answer: null without any, NaN if they are not a number that `merge` takes.
  function points(article) {
    const text = field(article).value.trim();
    if (text === "") return null;
    const value = /^\d{1,6}([.,]\d{0,9})?$|^[.,]\d{1,9}$/.test(text) ? parseFloat(text.replace(",", ".")) : NaN;
    return value <= settings.most ? value : NaN;
  }

  function show(article) {
    const value = points(article), wrong = Number.isNaN(value);
    field(article).setAttribute("aria-invalid", String(wrong));
    const state = wrong ? `not a number from 0 to ${settings.most}` : value === null ? "no points yet" : "";
    article.querySelector(".state").textContent = state;
    for (const button of article.querySelectorAll(".give-points")) {
      button.setAttribute("aria-pressed", String(!wrong && value !== null && Number(button.dataset.points) === value));
    }
    const done = articles.filter((a) => { const p = points(a); return p !== null && !Number.isNaN(p); }).length;
    document.getElementById("progress").textContent = `${done} of ${articles.length} have points`;
  }

  function give(article, text) {
    field(article).value = text;
    show(article);
    keep(article);
    announce(text === "" ? "No points" : `${text} of ${settings.most} points`);
  }

  let current = -1, typed = "";
  function go(index, focus = true) {
    if (!articles.length) return;
    typed = "";
    articles[current]?.classList.remove("now");
    current = Math.max(0, Math.min(articles.length - 1, index));
    const article = articles[current];
    article.classList.add("now");
    if (!focus) return;
    article.focus({ preventScroll: true });
    article.scrollIntoView({ block: "start" });
  }
  function open() {
    const order = articles.map((_, i) => (Math.max(current, 0) + 1 + i) % articles.length);
    const next = order.find((i) => points(articles[i]) === null);
    if (next === undefined) announce("All answers have points"); else go(next);
  }

  function digit(key) {
    const longer = typed + key;
    typed = Number(longer) <= settings.most ? String(Number(longer)) : key;
    if (Number(typed) <= settings.most) give(articles[current], typed);
    else announce(`At most ${settings.most} points`);
  }
  function step(by) {
    typed = "";
    const value = (points(articles[current]) || 0) + by;
    give(articles[current], String(Math.max(0, Math.min(settings.most, value))));
  }

  // A cell is quoted, and no spreadsheet reads it as a formula.
  const cell = (text) => {
    const safe = settings.formulas.some((start) => text.startsWith(start)) ? `'${text}` : text;
    return `"${safe.replaceAll('"', '""')}"`;
  };
  function save() {
    const wrong = articles.findIndex((article) => Number.isNaN(points(article)));
    if (wrong >= 0) {
      go(wrong);
      warn(`Not saved: the points of answer ${wrong + 1} are not a number from 0 to ${settings.most}.`);
      return;
    }
    document.getElementById("warning").hidden = true;
    const lines = [settings.columns];
    for (const article of articles) {
      const value = points(article);
      for (const row of JSON.parse(article.dataset.rows)) {
        lines.push([...row, value === null ? "" : String(value), comment(article).value.trim()]);
      }
    }
    // The mark at the start tells spreadsheets that this is UTF-8.
    const text = "\ufeff" + lines.map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = settings.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    announce(`Saved ${settings.file}`);
  }

  for (const [index, article] of articles.entries()) {
    recall(article);
    article.addEventListener("focusin", (event) => { if (event.target !== article) go(index, false); });
    article.addEventListener("click", () => go(index, false));
    for (const input of [field(article), comment(article)]) {
      input.addEventListener("input", () => { show(article); keep(article); });
    }
    for (const button of article.querySelectorAll(".give-points")) {
      button.addEventListener("click", () => give(article, button.dataset.points));
    }
    show(article);
  }
  document.getElementById("previous").addEventListener("click", () => go(current - 1));
  document.getElementById("next").addEventListener("click", () => go(current + 1));
  document.getElementById("open").addEventListener("click", open);
  document.getElementById("save").addEventListener("click", save);

  const keys = {
    j: () => go(current + 1), ArrowRight: () => go(current + 1),
    k: () => go(current - 1), ArrowLeft: () => go(current - 1),
    u: open, s: save,
    c: () => { go(current); comment(articles[current]).focus(); },
    "+": () => step(settings.step), "=": () => step(settings.step), "-": () => step(-settings.step),
    Delete: () => { typed = ""; give(articles[current], ""); },
    Backspace: () => { typed = ""; give(articles[current], ""); },
  };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || !articles.length) return;
    if (event.target.matches("input, textarea")) {
      if (event.key === "Escape") go(current);
      return;
    }
    const action = /^\d$/.test(event.key) ? () => digit(event.key) : Object.hasOwn(keys, event.key) ? keys[event.key] : null;
    if (!action) return;
    event.preventDefault();
    action();
  });
  go(0, false);
})();
