// The flamegraphs: each is unpacked when its tab is opened, into a frame that may run scripts and
// nothing else.
{
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const holder = document.getElementById("flame-frame");
  const search = document.getElementById("flame-search");
  const found = document.getElementById("flame-found");
  const meaning = document.getElementById("flame-meaning");
  const style = document.getElementById("flame-style").textContent;
  const script = document.getElementById("flame-script").textContent;
  const frames = new Map();
  let shown = null;

  const tell = (message) => frames.get(shown)?.contentWindow.postMessage(message, "*");

  async function made(tab) {
    const svg = await unpacked(`flame-${tab.dataset.flame}`);
    const height = Number(/<svg[^>]* height="(\d+)"/.exec(svg)?.[1] ?? 400);
    const frame = element("iframe", {
      sandbox: "allow-scripts", title: `Flamegraph: ${tab.textContent}`,
      style: `height: ${height + 4}px`,
    });
    frame.srcdoc = `<!doctype html><html lang="en"><meta charset="utf-8"><style>${style}</style>` +
      `<script>${script}<\/script><body tabindex="0">${svg}</body></html>`;
    return frame;
  }

  async function show(tab) {
    const name = tab.dataset.flame;
    for (const other of tabs) {
      other.setAttribute("aria-selected", String(other === tab));
      other.tabIndex = other === tab ? 0 : -1;
    }
    meaning.textContent = tab.dataset.meaning;
    document.getElementById("flame").setAttribute("aria-labelledby", tab.id);
    shown = name;
    if (!frames.has(name)) {
      const frame = await made(tab);
      if (!frames.has(name)) {
        frames.set(name, frame);
        frame.addEventListener("load", () => { if (shown === name) find(); });
        holder.append(frame);
      }
    }
    for (const [key, frame] of frames) frame.hidden = key !== shown;
    find();
  }

  function find() {
    found.textContent = "";
    tell({ search: search.value });
  }

  addEventListener("message", (event) => {
    if (event.source !== frames.get(shown)?.contentWindow) return;
    if (typeof event.data.found === "string") found.textContent = event.data.found;
    if (event.data.ask === "search") search.focus();
  });
  search.addEventListener("input", find);
  document.getElementById("flame-reset").addEventListener("click", () => tell({ unzoom: true }));
  tabs.forEach((tab, index) => {
    tab.addEventListener("click", () => show(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = tabs[(index + step + tabs.length) % tabs.length];
      next.focus();
      show(next);
    });
  });

  // The first one waits until somebody comes near, or prints.
  const first = () => { if (shown === null && tabs.length) show(tabs[0]); };
  new IntersectionObserver((entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    first();
  }, { rootMargin: "400px" }).observe(document.getElementById("flames"));
  addEventListener("beforeprint", first);
}
