// Optional: the page is readable without it.
(function () {
  "use strict";
  function key(row, i) {
    var cell = row.cells[i], v = cell.getAttribute("data-v");
    return v === null ? cell.textContent.trim() : parseFloat(v);
  }
  function compare(a, b) {
    var x = typeof a === "number", y = typeof b === "number";
    if (x && y) { return a - b; }
    if (x !== y) { return x ? -1 : 1; }
    return a.localeCompare(b, undefined, {numeric: true});
  }
  function sort(table, i, head) {
    var down = head.getAttribute("aria-sort") === "ascending", body = table.tBodies[0];
    var rows = Array.prototype.slice.call(body.rows).map(function (r) { return [key(r, i), r]; });
    rows.sort(function (a, b) { return (down ? -1 : 1) * compare(a[0], b[0]); });
    Array.prototype.forEach.call(table.tHead.rows[0].cells, function (c) { c.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    rows.forEach(function (r) { body.appendChild(r[1]); });
  }
  Array.prototype.forEach.call(document.querySelectorAll("table.sortable"), function (table) {
    Array.prototype.forEach.call(table.tHead.rows[0].cells, function (head, i) {
      if (head.classList.contains("strip-cell")) { return; }
      var button = document.createElement("button");
      button.type = "button";
      while (head.firstChild) { button.appendChild(head.firstChild); }
      head.appendChild(button);
      button.addEventListener("click", function () { sort(table, i, head); });
    });
  });
  var names = Array.prototype.map.call(document.querySelectorAll("#node-key td[data-name]"), function (c) { return c.textContent; });
  Array.prototype.forEach.call(document.querySelectorAll(".matrix-group"), function (group) {
    var out = group.querySelector(".readout");
    if (!out) { return; }
    group.addEventListener("mouseover", function (event) {
      var cell = event.target.closest("td"), table = cell && cell.closest("table.heat");
      if (!table) { out.textContent = "\u00a0"; return; }
      var from = names[cell.parentNode.rowIndex - 1], to = names[cell.cellIndex - 1];
      var what = cell.textContent === "\u2013" ? "not measured" : cell.textContent + " " + group.getAttribute("data-unit");
      out.textContent = from === to ? "\u00a0" : table.getAttribute("data-label") + ", " + from + " to " + to + ": " + what;
    });
  });
})();
