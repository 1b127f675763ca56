// A table that sorts and filters all of its rows and shows some of them.

// So many rows more are shown at a time.
const ROWS = 100;

// `options` has: rows (how many), columns (each with title, hint, value, cell, start and whether it
// is secondary), text (of a row, to be searched), detail (of a row, when it is opened), filters
// (each with label, choices and accepts), and order (the column to begin with).
class LinesTable {
  constructor(root, options) {
    Object.assign(this, options);
    this.head = root.querySelector("thead");
    this.body = root.querySelector("tbody");
    this.more = root.querySelector(".more");
    this.shown = ROWS;
    this.ascending = false;
    this.term = "";
    this.makeControls(root.querySelector(".controls"));
    this.makeHead();
    this.update();
  }

  makeControls(controls) {
    const input = element("input", {
      type: "search", size: 30, placeholder: "function or file", autocomplete: "off",
      spellcheck: "false",
    });
    input.addEventListener("input", () => {
      this.term = input.value.trim().toLowerCase();
      this.restart();
    });
    controls.append(element("label", {}, "Filter ", input));
    for (const filter of this.filters) {
      const select = element("select");
      filter.choices.forEach((choice, index) =>
        select.append(element("option", { value: index }, choice)));
      filter.chosen = 0;
      select.addEventListener("change", () => {
        filter.chosen = Number(select.value);
        filter.changed?.();
        this.restart();
      });
      controls.append(element("label", {}, `${filter.label} `, select));
    }
    this.status = element("span", { role: "status" });
    controls.append(this.status);
  }

  makeHead() {
    const row = element("tr");
    this.heads = this.columns.map((column, index) => {
      const button = element("button", { type: "button", title: column.hint }, column.title);
      button.addEventListener("click", () => {
        this.ascending = this.order === index ? !this.ascending : column.start === "up";
        this.order = index;
        this.restart();
      });
      const head = element("th", { scope: "col", class: this.classes(column) }, button);
      row.append(head);
      return head;
    });
    this.head.replaceChildren(row);
  }

  classes(column) {
    return [column.start === "up" ? "wide" : "number", column.secondary ? "secondary" : ""]
      .join(" ").trim();
  }

  restart() {
    this.shown = ROWS;
    this.update();
  }

  update() {
    const { value } = this.columns[this.order];
    const rows = [];
    for (let row = 0; row < this.rows; row++) {
      const fits = this.filters.every((filter) => !filter.chosen || filter.accepts(row, filter.chosen));
      if (fits && (!this.term || this.text(row).includes(this.term))) rows.push(row);
    }
    const keys = Array.from({ length: this.rows }, (_, row) => value(row));
    const sign = this.ascending ? 1 : -1;
    const compare = (one, other) => (one < other ? -1 : one > other ? 1 : 0);
    rows.sort((one, other) => sign * compare(keys[one], keys[other]) || one - other);
    this.found = rows;
    this.heads.forEach((head, index) => {
      const direction = this.ascending ? "ascending" : "descending";
      if (index === this.order) head.setAttribute("aria-sort", direction);
      else head.removeAttribute("aria-sort");
    });
    this.body.replaceChildren(...rows.slice(0, this.shown).flatMap((row) => this.makeRow(row)));
    this.tell();
  }

  tell() {
    const count = this.found.length;
    const all = count === this.rows ? "" : ` of ${format.count(this.rows)}`;
    this.status.textContent = `${format.count(count)}${all} ${this.rows === 1 ? "line" : "lines"}`;
    const left = count - this.shown;
    this.more.replaceChildren();
    if (left <= 0) return;
    const button = element("button", { type: "button" }, `Show ${Math.min(left, ROWS)} more`);
    button.addEventListener("click", () => {
      const next = this.found.slice(this.shown, this.shown + ROWS);
      this.shown += ROWS;
      const made = next.flatMap((row) => this.makeRow(row));
      this.body.append(...made);
      this.tell();
      made[0].querySelector("button").focus();
    });
    this.more.append(`${format.count(left)} more lines are not shown. `, button);
  }

  makeRow(row) {
    const made = element("tr");
    this.columns.forEach((column, index) => {
      const cell = element("td", { class: this.classes(column) });
      const content = column.cell(row);
      if (index === 0) cell.append(this.makeOpener(row, made, content));
      else cell.append(content);
      made.append(cell);
    });
    return [made];
  }

  makeOpener(row, line, content) {
    const button = element("button", { type: "button", class: "opener", "aria-expanded": "false" });
    button.append(content);
    button.addEventListener("click", () => {
      const isOpen = button.getAttribute("aria-expanded") === "true";
      button.setAttribute("aria-expanded", String(!isOpen));
      if (isOpen) {
        line.nextSibling.remove();
      } else {
        const cell = element("td", { colspan: this.columns.length }, this.detail(row));
        line.after(element("tr", { class: "detail" }, cell));
      }
    });
    return button;
  }
}
