// What a flamegraph in a frame needs beside its own script: this frame has no address to keep
// anything in, and may open no dialogs, so the page around it asks and is told.
"use strict";
History.prototype.replaceState = () => {};

{
  let selected = null;
  const all = () => [...document.getElementById("frames").children];
  const number = (frame, name) => Number(frame.querySelector("rect").getAttribute(name));
  const left = (frame) => number(frame, "fg:x");
  const right = (frame) => left(frame) + number(frame, "fg:w");
  const depth = (frame) => number(frame, "y");
  const isThere = () => document.getElementById("frames") !== null;

  // Searches for a regular expression, or for the text as it is if that is none.
  function find(term) {
    if (searching) search_prompt_of_drawing();
    let found = "";
    if (term) {
      let pattern = term;
      try { new RegExp(term); } catch { pattern = term.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"); }
      search(pattern);
      found = searching ? matchedtxt.textContent : "Nothing matches";
    }
    parent.postMessage({ found }, "*");
  }

  function select(frame) {
    if (!frame) return;
    selected?.classList.remove("selected");
    selected = frame;
    frame.classList.add("selected");
    details.nodeValue = frame.querySelector("title").textContent;
  }

  // The nearest visible frame in a direction.
  function neighbour(key) {
    const visible = all().filter((frame) => !frame.classList.contains("hide"));
    if (!selected || selected.classList.contains("hide")) {
      return visible.sort((one, other) =>
        right(other) - left(other) - right(one) + left(one) || depth(other) - depth(one))[0];
    }
    const own = depth(selected);
    const nearest = (frames) => frames.sort((one, other) =>
      Math.abs(depth(one) - own) - Math.abs(depth(other) - own) || left(one) - left(other))[0];
    const row = visible.filter((frame) => depth(frame) === own)
      .sort((one, other) => left(one) - left(other));
    switch (key) {
      case "ArrowUp": return nearest(visible.filter((frame) => depth(frame) < own
        && left(frame) >= left(selected) && right(frame) <= right(selected)));
      case "ArrowDown": return nearest(visible.filter((frame) => depth(frame) > own
        && left(frame) <= left(selected) && right(frame) >= right(selected)));
      case "ArrowLeft": return row[row.indexOf(selected) - 1];
      default: return row[row.indexOf(selected) + 1];
    }
  }

  addEventListener("load", () => {
    if (!isThere()) return;
    // The drawing's own function opens a dialog; this one asks the page.
    window.search_prompt_of_drawing = window.search_prompt;
    window.search_prompt = () => parent.postMessage({ ask: "search" }, "*");
    // A frame that was hidden while it was loaded has no width then, and is not always told later.
    new ResizeObserver(() => dispatchEvent(new Event("resize"))).observe(document.documentElement);
  });

  addEventListener("message", (event) => {
    if (event.source !== parent || !isThere() || !window.search_prompt_of_drawing) return;
    if (typeof event.data.search === "string") find(event.data.search);
    if (event.data.unzoom) unzoom();
  });

  addEventListener("keydown", (event) => {
    if (!isThere() || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.startsWith("Arrow")) {
      select(neighbour(event.key));
    } else if (event.key === "Enter" && selected) {
      if (selected.classList.contains("parent")) unzoom();
      zoom(selected);
    } else if (event.key === "Escape") {
      unzoom();
    } else if (event.key === "/") {
      parent.postMessage({ ask: "search" }, "*");
    } else {
      return;
    }
    event.preventDefault();
  });
}
