"use strict";
// The page works without: this shows what is new while somebody looks, and gives a mail the height that it needs.

const fit = (frame) => {
  const measure = () => {
    const root = frame.contentDocument?.documentElement;
    // A page is never less high than its frame.
    if (root) frame.style.height = "0";
    if (root) frame.style.height = `${Math.max(160, root.scrollHeight + 2)}px`;
  };
  frame.addEventListener("load", measure);
  measure();
};
const fitAll = () => document.querySelectorAll("iframe.mail").forEach(fit);

const busy = (part) => {
  const field = part.querySelector("textarea");
  return field !== null && (field.value !== "" || field === document.activeElement);
};

const refresh = async () => {
  const answer = await fetch(location.href);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const other = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
    // Nobody loses a reply half written.
    if (!other || other.outerHTML === part.outerHTML || busy(part)) continue;
    if (part.tagName === "DETAILS") other.open = part.open;
    part.replaceWith(other);
  }
  document.title = fresh.title;
  fitAll();
  return fresh.body.dataset.seen;
};

const follow = async () => {
  let seen = document.body.dataset.seen;
  for (;;) {
    try {
      const count = await (await fetch(`/changes?seen=${seen}`)).text();
      if (count !== seen) seen = await refresh();
    } catch {
      // The stand-in is being restarted.
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
};

fitAll();
follow();
