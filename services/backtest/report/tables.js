"use strict";
// Sorts a table by a click on a column's head and hides the rows a filter leaves out. Nothing more.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const key = (row, column) => row.cells[column].dataset.key ?? row.cells[column].textContent;
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const numeric = head.classList.contains("n");
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [key(a, column), key(b, column)];
        return numeric ? Number(x) - Number(y) : x < y ? -1 : x > y ? 1 : 0;
      });
      if (!up) rows.reverse();
      body.append(...rows);
    });
  });
}
for (const field of document.querySelectorAll("input.filter")) {
  const table = document.getElementById(field.dataset.table);
  const said = document.getElementById(field.dataset.count);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    said.textContent = `${shown.toLocaleString("en-US")} shown`;
  });
}
for (const part of document.querySelectorAll(".scripted")) part.hidden = false;
