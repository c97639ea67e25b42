// What a script adds to pages that work without it: copying, the theme, forms that are sent once, values that follow.
"use strict";

const live = () => document.getElementById("live");

function announce(text) {
  const place = live();
  if (place) { place.textContent = ""; requestAnimationFrame(() => { place.textContent = text; }); }
}

async function copyText(text, near) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Pages at plain http have no clipboard but this one.
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "visually-hidden";
    near.after(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    near.focus();
    if (!done) throw new Error("not copied");
  }
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  const label = button.querySelector("[data-label]") || button;
  const before = label.textContent;
  try {
    await copyText(source.textContent.trim(), button);
    label.textContent = "Copied";
    announce("Copied");
  } catch {
    label.textContent = "Press Ctrl+C";
    getSelection().selectAllChildren(source);
  }
  setTimeout(() => { label.textContent = before; }, 2000);
}

function switchTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const next = dark ? "light" : "dark";
  root.dataset.theme = next;
  document.cookie = `bailiwick-theme=${next}; path=/dashboard; max-age=31536000; samesite=lax`;
  announce(next === "dark" ? "Dark theme" : "Light theme");
  document.dispatchEvent(new Event("themechange"));
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy], [data-theme-switch]");
  if (!button) return;
  if (button.dataset.copy) copy(button);
  else switchTheme();
});

// A second click must not send a form twice: what is made would be made twice.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) { event.preventDefault(); return; }
  if (form.method !== "post" || form.hasAttribute("hx-post")) return;
  form.dataset.sent = "yes";
  for (const button of form.querySelectorAll("button[type=submit]")) {
    button.setAttribute("aria-busy", "true");
    if (button.dataset.busy) { button.textContent = button.dataset.busy; announce(button.dataset.busy); }
  }
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
  }
});

// Filters act at once; without a script there is a button.
document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-at-once]");
  if (form) form.requestSubmit();
});

function showTab() {
  document.querySelector(".tabs [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
}

document.addEventListener("DOMContentLoaded", () => {
  showTab();
  let width = innerWidth;
  // Only when the window gets another width: a telephone's height changes with every scroll.
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; showTab(); } });
  const summary = document.querySelector("[data-focus]");
  if (summary) summary.focus();
});
