// The tables of lines: of a recording, and of a comparison.

const OWNERS = ["own", "library", "python"];

// A line's name and place, with the colour of whose code it is.
const placed = (data, row) => {
  const { lines, text } = data;
  const place = text[lines.place[row]];
  const where = place ? ` ${place}:${lines.line[row]}` : "";
  const made = element("span", { class: `place ${OWNERS[lines.owner[row]]}` });
  made.append(element("bdi", { class: "function" }, text[lines.function[row]] || "?"));
  if (where) made.append(" ", element("bdi", { class: "note" }, where.trim()));
  return made;
};

// Facts under one another.
const facts = (...pairs) => {
  const list = element("dl", { class: "facts" });
  for (const [name, value] of pairs) list.append(element("dt", {}, name), element("dd", {}, value));
  return list;
};

// Each row's text is made once, not at each key that is pressed.
const textOf = ({ lines, text }) => {
  const known = new Array(lines.line.length);
  return (row) => (known[row] ??=
    `${text[lines.function[row]]} ${text[lines.place[row]]} ${text[lines.file[row]]}:${lines.line[row]}`
      .toLowerCase());
};

const byOwner = (data) => ({
  label: "Code",
  choices: ["all", ...data.owners],
  accepts: (row, chosen) => data.lines.owner[row] === chosen - 1,
});

function showSites(root, data) {
  const { lines, text } = data;
  // The values of all processes, or of one at the same ranks.
  let values = data.values;
  const ofProcess = ({ rank, values: own }) => {
    const spread = (column) => {
      const all = new Array(lines.line.length).fill(0);
      rank.forEach((row, index) => { all[row] = column[index]; });
      return all;
    };
    const deep = (node) => (Array.isArray(node) ? spread(node)
      : Object.fromEntries(Object.entries(node).map(([key, value]) => [key, deep(value)])));
    return deep(own);
  };
  const spread = new Map();
  const present = new Map();
  const estimate = (name) => ({
    value: (row) => values[name].estimate[row],
    amount(row, write) {
      const { estimate: best, low, high } = values[name];
      const off = format.uncertainty(best[row], low[row], high[row]);
      const made = element("span", {}, write(best[row]));
      if (off) made.append(" ", element("span", { class: "note" }, off));
      return made;
    },
  });
  const column = (title, name, hint, write, secondary) => {
    const { value, amount } = estimate(name);
    return { title, hint, value, secondary, cell: (row) => amount(row, write) };
  };
  const plain = (title, name, hint, write) => ({
    title, hint, secondary: true,
    value: (row) => values[name][row], cell: (row) => write(values[name][row]),
  });
  const columns = [
    {
      title: "where", hint: "Sort by function", start: "up",
      value: (row) => text[lines.function[row]].toLowerCase(), cell: (row) => placed(data, row),
    },
    column("retained", "retained", "Bytes allocated while recording and not freed", format.bytes),
    {
      title: "share", hint: "Share in what all lines retain", value: (row) => values.retained.estimate[row],
      cell: (row) => format.percent(share(row)),
    },
    plain("growth", "growth", "Retained bytes per second", format.rate),
    column("allocated", "allocated", "Bytes allocated, freed or not", format.bytes),
    column("allocations", "allocations", "How many allocations", format.count, true),
    plain("touched", "resident", "Bytes of fresh pages touched", format.bytes),
    plain("mapped", "mapped", "Bytes of address space got and still held", format.bytes),
  ];
  const total = () => values.retained.estimate.reduce((sum, value) => sum + value, 0);
  let whole = total();
  const share = (row) => (whole > 0 ? (100 * values.retained.estimate[row]) / whole : 0);
  const filters = [byOwner(data)];
  if (data.processes.length > 1) {
    const byProcess = {
      label: "Process",
      choices: ["all", ...data.processes.map((it) => `${it.pid} ${text[it.command]}`)],
      accepts: (row, chosen) => present.get(chosen).has(row),
      changed() {
        const process = data.processes[this.chosen - 1];
        if (process && !spread.has(this.chosen)) {
          spread.set(this.chosen, ofProcess(process));
          present.set(this.chosen, new Set(process.rank));
        }
        values = process ? spread.get(this.chosen) : data.values;
        whole = total();
      },
    };
    filters.push(byProcess);
  }
  const range = (name, row, write) => {
    const { estimate: best, low, high } = values[name];
    const exact = low[row] === high[row];
    return exact ? write(best[row]) : `${write(best[row])} (${write(low[row])} … ${write(high[row])})`;
  };
  // The calls of all stacks are many: they are unpacked when a stack is asked for.
  let calls = null;
  const fill = async (list, row) => {
    calls ??= unpacked("calls").then((packed) => JSON.parse(packed));
    const { label, owner, frame, caller } = await calls;
    for (let call = lines.call[row]; call; call = caller[call]) {
      const own = frame[call];
      list.append(element("li", { class: `place ${OWNERS[owner[own]]}` }, foreign(label[own])));
    }
  };
  const stack = (row) => {
    const list = element("ol", { class: "stack" });
    fill(list, row);
    return list;
  };
  const detail = (row) => {
    const place = text[lines.file[row]] ? `${text[lines.file[row]]}:${lines.line[row]}` : "no file";
    return element("div", { class: "columns" },
      element("div", {},
        element("h4", {}, "Heaviest stack, innermost call first"), stack(row)),
      facts(
        ["file", foreign(place)],
        ["retained", range("retained", row, format.bytes)],
        ["allocated", range("allocated", row, format.bytes)],
        ["allocations", range("allocations", row, format.count)],
        ["processes", lines.pids[row].join(", ")],
        ["observations", format.count(lines.samples[row])],
      ));
  };
  return new LinesTable(root, {
    rows: lines.line.length, columns, filters, detail, text: textOf(data), order: 1,
  });
}

function showChanges(root, data) {
  const { lines, text } = data;
  const metric = { label: "Numbers", choices: ["retained", "allocated", "mapped"], accepts: () => true };
  let values = data.values.retained;
  metric.changed = () => { values = data.values[metric.choices[metric.chosen]]; };
  const outcome = (row) => element("span", {
    class: "outcome", "data-outcome": data.outcomes[values.outcome[row]].replace(" ", "-"),
  }, data.outcomes[values.outcome[row]]);
  const fate = (row) => {
    const was = lines.was[row];
    const name = data.fates[lines.fate[row]];
    return was === null ? name : element("span", {}, `${name}, was `, foreign(text[was]));
  };
  const columns = [
    {
      title: "where", hint: "Sort by function", start: "up",
      value: (row) => text[lines.function[row]].toLowerCase(), cell: (row) => placed(data, row),
    },
    {
      title: "before", hint: "Bytes per second before",
      value: (row) => values.before[row], cell: (row) => format.bytes(values.before[row]),
    },
    {
      title: "after", hint: "Bytes per second after",
      value: (row) => values.after[row], cell: (row) => format.bytes(values.after[row]),
    },
    {
      title: "change", hint: "Sort by how much it changed",
      value: (row) => Math.abs(values.change[row]),
      cell(row) {
        const percent = values.percent[row];
        const made = element("span", {}, format.change(values.change[row]));
        const note = percent === null ? "" : `${percent > 0 ? "+" : ""}${percent}%`;
        if (note) made.append(" ", element("span", { class: "note" }, note));
        return made;
      },
    },
    {
      title: "at least … at most", hint: "Sort by the least change", secondary: true,
      value: (row) => values.low[row],
      cell: (row) => `${format.change(values.low[row])} … ${format.change(values.high[row])}`,
    },
    {
      title: "verdict", hint: "Sort by verdict", start: "up",
      value: (row) => values.outcome[row], cell: outcome,
    },
    {
      title: "line is", hint: "Sort by what became of the line", start: "up", secondary: true,
      value: (row) => data.fates[lines.fate[row]], cell: fate,
    },
  ];
  const filters = [metric, {
    label: "Verdict",
    choices: ["all", ...data.outcomes],
    accepts: (row, chosen) => values.outcome[row] === chosen - 1,
  }, byOwner(data)];
  if (data.roles.length > 1) {
    filters.push({
      label: "Role",
      choices: ["all", ...data.roles.map((role) => text[role])],
      accepts: (row, chosen) => lines.role[row] === chosen - 1,
    });
  }
  const detail = (row) => {
    const place = text[lines.file[row]] ? `${text[lines.file[row]]}:${lines.line[row]}` : "no file";
    const doubt = values.doubt[row];
    const pairs = [
      ["file", foreign(place)],
      ["role", foreign(text[data.roles[lines.role[row]]] ?? "")],
      ["change", `${format.change(values.change[row])} per second, at least ` +
        `${format.change(values.low[row])} and at most ${format.change(values.high[row])}`],
    ];
    if (doubt !== null) pairs.push(["why", text[doubt]]);
    return facts(...pairs);
  };
  return new LinesTable(root, {
    rows: lines.line.length, columns, filters, detail, text: textOf(data), order: 3,
  });
}

// A page says when all of its lines can be used, for whoever waits for that.
{
  const show = async (id, name, make) => {
    const root = document.getElementById(id);
    if (!root) return;
    make(root, JSON.parse(await unpacked(name)));
    root.dataset.ready = "";
    performance.mark("heaptide-lines");
  };
  show("lines-table", "sites", showSites);
  show("changes-table", "changes", showChanges);
}
