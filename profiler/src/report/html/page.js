// What the other scripts of a page use: the theme, packed data, and how numbers are written.
"use strict";

const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};

// Text of the target, whose direction of writing stays its own.
const foreign = (text) => element("bdi", {}, text);

// Unpacks a piece of data of this page; nothing if it has none of this name.
async function unpacked(name) {
  const block = document.getElementById(`data-${name}`);
  if (!block) return null;
  const packed = atob(block.textContent);
  const bytes = new Uint8Array(packed.length);
  // Uint8Array.from would iterate over characters, which takes many times as long.
  for (let at = 0; at < packed.length; at++) bytes[at] = packed.charCodeAt(at);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).text();
}

const format = {
  // Three digits, in units of 1024, as everywhere in heaptide.
  bytes(value) {
    const units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    const sign = value < 0 ? "-" : "";
    let size = Math.abs(value);
    if (size < 1024) return `${sign}${Math.round(size)} B`;
    size /= 1024;
    let unit = 0;
    for (; size >= 999.5 && unit + 1 < units.length; unit++) size /= 1024;
    return `${sign}${size.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0)} ${units[unit]}`;
  },
  change: (value) => (Math.abs(value) < 1 ? "±0" : (value > 0 ? "+" : "") + format.bytes(value)),
  rate: (value) => (Math.abs(value) < 1 ? "0" : format.change(value) + "/s"),
  count: (value) => Math.round(value).toLocaleString("en"),
  percent: (value) => (value <= 0 ? "0%" : value < 0.95 ? "<1%" : `${Math.round(value)}%`),
  // How far an estimate may be off.
  uncertainty(value, low, high) {
    const off = Math.max(high - value, value - low);
    if (off <= 0 || value === 0) return "";
    const percent = Math.ceil((off / value) * 100);
    return percent > 999 ? "±>9×" : `±${percent}%`;
  },
};

// A page in a file may be forbidden to keep anything: then the choice lasts until it is closed.
const kept = {
  get theme() {
    try { return localStorage.getItem("heaptide-theme") ?? ""; } catch { return ""; }
  },
  set theme(value) {
    try { localStorage.setItem("heaptide-theme", value); } catch { /* see above */ }
  },
};

{
  const select = document.getElementById("theme");
  const apply = (theme) => {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  };
  select.value = kept.theme;
  apply(select.value);
  select.addEventListener("change", () => {
    kept.theme = select.value;
    apply(select.value);
  });
}
