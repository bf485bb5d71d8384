/* The report works without this; it saves a few steps. */
"use strict";

/* A link into the page opens what its target lies in, and goes there. */
function reveal(id) {
  const target = document.getElementById(id);
  if (!target) return;
  for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  target.scrollIntoView({ block: "center" });
  if (target.tagName === "DETAILS") target.querySelector("summary").focus();
  else if (target.hasAttribute("tabindex")) target.focus({ preventScroll: true });
}
window.addEventListener("hashchange", () => reveal(location.hash.slice(1)));
document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  const to = link && (link.getAttribute("href") || "");
  if (to && to === location.hash) reveal(to.slice(1)); /* no hashchange the second time */
});
if (location.hash) reveal(location.hash.slice(1));

/* One sound at a time. */
document.addEventListener("play", (event) => {
  for (const other of document.querySelectorAll("audio")) if (other !== event.target) other.pause();
}, true);

/* Tables that can be ordered by a column: numbers falling first, names rising, the other way the second time. */
function order(table, column, head) {
  const first = column ? "descending" : "ascending";
  const way = head.getAttribute("aria-sort") !== first ? first : column ? "ascending" : "descending";
  const sign = way === "ascending" ? 1 : -1;
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => {
    const [x, y] = [a, b].map((row) => row.cells[column].textContent);
    if (!column) return sign * x.localeCompare(y);
    const [p, q] = [parseFloat(x), parseFloat(y)];
    if (isNaN(p) || isNaN(q)) return isNaN(p) - isNaN(q); /* what has no number stays at the end */
    return sign * (p - q);
  });
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", way);
  table.tBodies[0].append(...rows);
}
for (const table of document.querySelectorAll("table.sortable"))
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => order(table, column, head));
    head.append(button);
  });

/* Everything open while it is printed would be hundreds of pages: mistakes alone are. */
window.addEventListener("beforeprint", () => {
  for (const group of document.querySelectorAll("details.wrong")) group.open = true;
});
