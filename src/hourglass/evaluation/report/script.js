"use strict";
(() => {
  const find = (selector, within = document) => [...within.querySelectorAll(selector)];
  const form = document.getElementById("filters");
  const [data, text, baselines] = ["data", "text", "baselines"].map((id) => document.getElementById(id));
  const other = { ascending: "descending", descending: "ascending" };

  // The sort key of a row in a column; null if a numeric column has no value.
  function value(row, header) {
    const cell = row.cells[header.cellIndex];
    if (!("number" in header.dataset)) return cell.textContent.trim();
    const number = cell.querySelector("data");
    return number ? Number(number.value) : null;
  }

  function compare(one, two) {
    if (one === null || two === null) return (one === null) - (two === null);
    return typeof one === "number" ? one - two : one.localeCompare(two);
  }

  function sort(header) {
    const table = header.closest("table");
    const [body] = table.tBodies;
    const first = header.dataset.first;
    const order = header.getAttribute("aria-sort") === first ? other[first] : first;
    find("[aria-sort]", table).forEach((each) => each.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const rows = [...body.rows].map((row) => ({ row, value: value(row, header) }));
    // Missing values stay last in both orders.
    rows.sort((one, two) => {
      const missing = one.value === null || two.value === null;
      return (missing ? 1 : sign) * compare(one.value, two.value);
    });
    body.append(...rows.map((each) => each.row));
  }

  function filter() {
    const wanted = text.value.trim().toLowerCase();
    for (const set of find("[data-set]")) set.hidden = data.value && set.dataset.set !== data.value;
    for (const row of find("[data-name], tr[data-baseline]")) {
      const name = (row.dataset.name ?? row.textContent).toLowerCase();
      row.hidden = !name.includes(wanted) || ("baseline" in row.dataset && !baselines.checked);
    }
    for (const set of find("section[data-set]")) {
      set.querySelector(".none").hidden = find(".board tbody tr:not([hidden])", set).length > 0;
    }
    const rows = find(".board tbody tr");
    const shown = rows.filter((row) => !row.hidden && !row.closest("[data-set]").hidden).length;
    const count = shown ? `${shown} of ${rows.length} rows` : "Nothing matches";
    document.getElementById("shown").textContent = count;
  }

  // Emphasise one variant in all plots of its data set.
  function emphasise(box, model) {
    box.classList.toggle("focus", Boolean(model));
    find("[data-model]", box).forEach((mark) => mark.classList.toggle("on", mark.dataset.model === model));
  }
  for (const box of find(".comparison")) {
    const pinned = () => box.querySelector("[aria-pressed=true]")?.dataset.model;
    box.addEventListener("pointerover", (event) => {
      emphasise(box, event.target.closest("[data-model]")?.dataset.model ?? pinned());
    });
    box.addEventListener("pointerleave", () => emphasise(box, pinned()));
    box.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-model]");
      if (!button) return;
      const pressed = button.getAttribute("aria-pressed") !== "true";
      find("button", box).forEach((each) => each.setAttribute("aria-pressed", each === button && pressed));
      emphasise(box, pinned());
    });
  }

  // Open the section that the address links to.
  function open() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") {
      target.open = true;
      target.scrollIntoView();
    }
  }

  // Print all sections.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = find("details:not([open])");
    closed.forEach((each) => (each.open = true));
  });
  addEventListener("afterprint", () => closed.forEach((each) => (each.open = false)));

  find(".board thead button").forEach((button) => button.addEventListener("click", () => sort(button.closest("th"))));
  find(".reset").forEach((button) => button.addEventListener("click", () => {
    form.reset();
    filter();
  }));
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", open);
  form.hidden = false;
  filter();
  open();
})();
