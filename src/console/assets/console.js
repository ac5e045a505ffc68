// What is live on a page: figures that the service sends while the page is open. Without this script every page shows
// the same, as of when it was loaded. Nothing that is received becomes markup: texts stay texts.
"use strict";
(() => {
  const main = document.getElementById("main");
  const current = document.querySelector("nav [aria-current]");
  if (current) current.scrollIntoView({ block: "nearest", inline: "center" });
  // What is to be copied can be copied with one click, where the browser allows it.
  if (navigator.clipboard) {
    for (const button of document.querySelectorAll("[data-copy]")) {
      const text = document.querySelector(`[data-copied="${CSS.escape(button.dataset.copy)}"]`);
      button.hidden = false;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(text.textContent);
        button.textContent = "Copied";
      });
    }
  }
  const source = main && main.dataset.liveSource;
  if (!source || !window.EventSource) return;

  const set = (attribute, name, put) => {
    for (const element of main.querySelectorAll(`[${attribute}]`)) {
      if (element.getAttribute(attribute) === name) put(element);
    }
  };

  const figures = (message) => {
    for (const [name, text] of Object.entries(message.texts || {})) {
      set("data-live", name, (element) => {
        if (element.textContent !== text) element.textContent = text;
      });
    }
    for (const [name, [line, area]] of Object.entries(message.lines || {})) {
      set("data-live-line", name, (element) => element.setAttribute("d", line));
      set("data-live-area", name, (element) => element.setAttribute("d", area));
    }
    for (const [name, [at, width]] of Object.entries(message.bars || {})) {
      set("data-live-bar", name, (element) => {
        element.setAttribute("x", at);
        element.setAttribute("width", width);
      });
    }
  };

  const table = main.querySelector("[data-live-rows]");
  const pattern = document.getElementById("live-row");
  const rows = (message) => {
    if (!table || !pattern) return;
    for (const row of message.rows || []) {
      const copy = pattern.content.cloneNode(true);
      for (const cell of copy.querySelectorAll("[data-field]")) {
        cell.textContent = row[cell.dataset.field] || "";
        // A path of this console, which the service has made.
        const link = cell.dataset.link && row[cell.dataset.link];
        if (link && link.startsWith("/find?")) cell.setAttribute("href", link);
      }
      table.prepend(copy);
    }
    while (table.rows.length > 200) table.deleteRow(-1);
  };

  let events = null;
  const open = () => {
    events = new EventSource(source);
    events.onmessage = (event) => {
      const message = JSON.parse(event.data);
      figures(message);
      rows(message);
    };
  };
  const close = () => {
    if (events) events.close();
    events = null;
  };
  // A page that nobody looks at asks for nothing.
  document.addEventListener("visibilitychange", () => {
    close();
    if (!document.hidden && !isPaused) open();
  });
  const pause = main.querySelector("[data-pause]");
  let isPaused = false;
  if (pause) {
    pause.hidden = false;
    pause.addEventListener("click", () => {
      isPaused = !isPaused;
      pause.textContent = isPaused ? "Go on" : "Pause";
      close();
      if (!isPaused) open();
    });
  }
  window.addEventListener("pagehide", close);
  open();
})();
