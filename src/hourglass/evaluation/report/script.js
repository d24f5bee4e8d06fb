"use strict";
(() => {
  const table = document.getElementById("board");
  const body = table.tBodies[0];
  const headers = [...table.tHead.rows[0].cells];
  const form = document.getElementById("filters");
  const [data, text, baselines] = ["data", "text", "baselines"].map((id) => document.getElementById(id));
  const other = { ascending: "descending", descending: "ascending" };
  let sorted = "";

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
    const first = header.dataset.first;
    const order = header.getAttribute("aria-sort") === first ? other[first] : first;
    headers.forEach((each) => each.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const rows = [...body.rows].map((row) => ({ row, value: value(row, header) }));
    // Missing values stay last in both orders.
    rows.sort((one, two) => {
      const missing = one.value === null || two.value === null;
      return (missing ? 1 : sign) * compare(one.value, two.value);
    });
    body.append(...rows.map((each) => each.row));
    sorted = `, sorted by ${header.textContent.trim()}, ${order}`;
    updateCount();
  }

  function filter() {
    const wanted = text.value.trim().toLowerCase();
    for (const row of body.rows) {
      const name = `${row.cells[0].textContent} ${row.dataset.set}`.toLowerCase();
      row.hidden =
        (data.value && row.dataset.set !== data.value) ||
        !name.includes(wanted) ||
        ("baseline" in row.dataset && !baselines.checked);
    }
    updateCount();
  }

  function updateCount() {
    const rows = [...body.rows];
    const shown = rows.filter((row) => !row.hidden).length;
    document.getElementById("shown").textContent = `${shown} of ${rows.length} rows${sorted}`;
  }

  // Open the section that the address links to.
  function open() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") {
      target.open = true;
      target.scrollIntoView();
    }
  }

  headers.forEach((header) => header.querySelector("button").addEventListener("click", () => sort(header)));
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", open);
  form.hidden = false;
  filter();
  open();
})();
