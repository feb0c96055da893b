// What the pages are better with and do without: local times, live lists, running clocks, keys, copying, a question before what is typed is lost.
"use strict";

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) document.cookie = `zone=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=lax`;

// One clock on all pages: twelve hours or twenty-four, with a zero in front or without, as the reader's language has it.
const date = { month: "short", day: "numeric" };
const time = { hour: "numeric", minute: "2-digit" };
const forms = {
  moment: { year: "numeric", ...date, ...time, second: "2-digit" },
  minute: { ...date, ...time },
  day: { year: "numeric", ...date },
  date,
  time,
};

// Times and numbers as the reader's language writes them; the server has written them in a form that everybody reads.
function localise(part) {
  for (const time of part.querySelectorAll("time[data-form]")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.valueOf())) time.textContent = at.toLocaleString(undefined, forms[time.dataset.form]);
  }
  for (const number of part.querySelectorAll("data[value]")) {
    const value = Number(number.value);
    if (Number.isSafeInteger(value)) number.textContent = value.toLocaleString();
  }
}

// What only a script can do is shown where there is one.
function dress(part) {
  localise(part);
  for (const element of part.querySelectorAll("[data-scripted]")) {
    // There is a clipboard over encrypted connections and on this machine alone.
    element.hidden = "copy" in element.dataset && !navigator.clipboard;
  }
}

function inWords(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

function tick() {
  for (const clock of document.querySelectorAll("time[data-until]")) {
    const seconds = Math.ceil((new Date(clock.dateTime) - Date.now()) / 1000);
    clock.textContent = seconds > 0 ? `in ${inWords(seconds)}` : "now";
  }
}

const takeFocus = "a, button, input, select, textarea, summary";

// Where the focus is: how many of what takes it come before, in the nearest part that has a name.
function focusPlace() {
  const home = document.activeElement?.closest("[id]");
  return home && [home.id, [...home.querySelectorAll(takeFocus)].indexOf(document.activeElement)];
}

function refocus([id, at]) {
  const home = document.getElementById(id);
  const target = at < 0 ? home : home?.querySelectorAll(takeFocus)[at];
  target?.focus({ preventScroll: true });
}

// A part of the page that changes by itself is fetched again, as the server draws it.
async function renew(part) {
  const answer = await fetch(location.href, { headers: { accept: "text/html" }, credentials: "same-origin" });
  if (!answer.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById(part.id);
  const focused = focusPlace();
  if (!fresh || part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")) return;
  const known = new Set([...part.querySelectorAll("tr[id]")].map((row) => row.id));
  const chosen = part.querySelector("tr.chosen")?.id;
  for (const row of fresh.querySelectorAll("tr[id]")) {
    if (!known.has(row.id)) row.classList.add("new");
    if (row.id === chosen) row.classList.add("chosen");
  }
  const open = [...part.querySelectorAll("details")].map((details) => details.open);
  fresh.querySelectorAll("details").forEach((details, at) => { details.open = open[at] ?? details.open; });
  dress(fresh);
  part.replaceWith(fresh);
  for (const id of ["state", "beside"]) {
    const beside = page.getElementById(id);
    if (beside) dress(beside), document.getElementById(id)?.replaceWith(beside);
  }
  count();
  if (focused && document.activeElement === document.body) refocus(focused);
  tick();
}

function follow() {
  const first = document.querySelector("[data-live]");
  if (!first) return;
  const pause = Number(first.dataset.pause ?? 600);
  let waiting;
  const soon = () => {
    waiting ??= setTimeout(() => {
      waiting = undefined;
      // Whoever has chosen rows must not lose them.
      if (document.hidden || document.querySelector("[data-live] input[type=checkbox]:checked")) return;
      for (const part of document.querySelectorAll("[data-live]")) renew(part);
    }, pause);
  };
  // A browser has six connections to a server for all of its tabs: only the one that is looked at keeps one open.
  let events;
  const listen = () => {
    events?.close();
    if (document.hidden) return;
    events = new EventSource(first.dataset.live);
    // Of an end between the drawing of the page and this there is no hint any more.
    if ("ends" in first.dataset) events.addEventListener("open", soon);
    for (const hint of ["delivery", "redelivery", "lagged"]) events.addEventListener(hint, soon);
  };
  listen();
  document.addEventListener("visibilitychange", () => { listen(); if (!document.hidden) soon(); });
}

// Whoever speaks to the machine, or rests a hand on it, can do without keys of one letter.
const keys = {
  get areOn() {
    try { return localStorage.getItem("keys") !== "off"; } catch { return true; }
  },
  set areOn(on) {
    // Where nothing may be stored, they stay on.
    try { on ? localStorage.removeItem("keys") : localStorage.setItem("keys", "off"); } catch { /* See above. */ }
  },
};

// Below a list stands which keys it has, and the switch: there are none where there is no script.
function tellKeys() {
  const list = document.querySelector("table[data-keys]")?.closest(".wide");
  if (!list) return;
  const line = document.createElement("p");
  line.className = "keys soft";
  const button = Object.assign(document.createElement("button"), { type: "button", className: "plain" });
  const words = document.createElement("small");
  line.append(words, " ", button);
  const show = () => {
    const known = ["j k choose", "Enter opens", document.querySelector("[data-search]") && "/ filters", redeliver() && "r redelivers"];
    words.textContent = keys.areOn ? `Keys: ${known.filter(Boolean).join(" · ")}` : "Keys are off.";
    button.textContent = keys.areOn ? "Switch keys off" : "Switch keys on";
  };
  button.addEventListener("click", () => { keys.areOn = !keys.areOn; show(); });
  list.after(line);
  show();
}

// The button that sends again what is ticked in the list.
function redeliver() {
  return document.querySelector("input[name=id]")?.form?.querySelector("button:not([type])");
}

// It says how many that are, and waits until there are some.
function count() {
  const button = redeliver();
  if (!button) return;
  button.dataset.words ??= button.textContent;
  const ticked = document.querySelectorAll("input[name=id]:checked").length;
  button.disabled = ticked === 0;
  button.textContent = ticked === 0 ? button.dataset.words : `Redeliver ${ticked.toLocaleString()}`;
}

// j and k go through the rows, Enter opens one, / goes to the search, r to the button that sends again what is open or chosen.
function onKey(event) {
  if (!keys.areOn) return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, [contenteditable]")) return;
  const rows = [...document.querySelectorAll("table[data-keys] tbody tr[id]")];
  const at = rows.findIndex((row) => row.classList.contains("chosen"));
  const choose = (next) => {
    if (!rows[next]) return;
    rows[at]?.classList.remove("chosen");
    rows[next].classList.add("chosen");
    rows[next].scrollIntoView({ block: "nearest" });
    rows[next].querySelector("a")?.focus({ preventScroll: true });
  };
  if (event.key === "j") choose(at + 1);
  else if (event.key === "k") choose(at < 0 ? 0 : at - 1);
  else if (event.key === "Enter" && at >= 0 && event.target === document.body) rows[at].querySelector("a")?.click();
  else if (event.key === "/") {
    const search = document.querySelector("[data-search]");
    search?.closest("details")?.setAttribute("open", "");
    search?.focus();
  }
  else if (event.key === "r") {
    const box = rows[at]?.querySelector("input[name=id]");
    if (box) box.checked = true;
    count();
    (document.querySelector("[data-again]") ?? (box && redeliver()))?.focus();
  }
  else return;
  event.preventDefault();
}

function guard(form) {
  let changed = "typed" in form.dataset;
  form.addEventListener("input", () => { changed = true; });
  form.addEventListener("submit", () => { changed = false; });
  addEventListener("beforeunload", (event) => { if (changed) event.preventDefault(); });
}

// Which guide fits is seen while the address is typed.
function recognise(input) {
  const guides = [...document.querySelectorAll("[data-guide]")];
  let shown;
  const show = () => {
    const host = URL.parse(input.value.trim())?.hostname ?? "";
    const isFor = (guide) => guide.dataset.guide.split(" ").some((known) => host === known || host.endsWith(`.${known}`));
    const fitting = guides.find(isFor);
    for (const guide of guides) guide.hidden = Boolean(fitting) && guide !== fitting;
    // Whoever has opened or closed it keeps it so until another address is typed.
    if (fitting !== shown) guides[0].closest("details").open = Boolean(fitting);
    shown = fitting;
  };
  input.addEventListener("input", show);
  show();
}

// A button sends once, however often it is pressed: what the first answer shows may be shown once. Who has stopped waiting, or comes back
// to the page, may press again.
function sendOnce(event) {
  const sent = event.submitter ?? event.target;
  if (event.target.method !== "post") return;
  if (Date.now() - (sent.dataset.sentAt ?? 0) < 5_000) event.preventDefault();
  else sent.dataset.sentAt = Date.now();
}
document.addEventListener("submit", sendOnce);
addEventListener("pageshow", () => {
  for (const sent of document.querySelectorAll("[data-sent-at]")) delete sent.dataset.sentAt;
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.copy !== undefined) {
    const text = document.getElementById(button.dataset.copy)?.textContent ?? "";
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } else if (button.dataset.more !== undefined) {
    const model = document.getElementById(button.dataset.more);
    button.before(model.content.cloneNode(true));
    button.previousElementSibling.querySelector("input")?.focus();
  } else if (button.dataset.less !== undefined) {
    const pair = button.closest(".pair");
    pair.querySelectorAll("input").forEach((input) => { input.value = ""; });
    pair.closest("form")?.dispatchEvent(new Event("input", { bubbles: true }));
    pair.remove();
  }
});

document.addEventListener("change", (event) => {
  const all = event.target.closest("[data-all]");
  if (all) for (const box of document.querySelectorAll("input[name=id]")) box.checked = all.checked;
  if (all || event.target.matches("input[name=id]")) count();
});

document.addEventListener("keydown", onKey);
// The answer to a form takes the place of an address: who reloads it or comes back is not asked to send the form again. Not where the
// answer keeps what was typed over the sign-in.
if (!document.querySelector("[data-kept]")) history.replaceState(null, "", document.querySelector("[data-address]")?.dataset.address ?? location.href);
dress(document);
// The style sheet hides it meanwhile, so that nothing moves.
document.querySelectorAll("[data-unscripted]").forEach((part) => part.remove());
tellKeys();
// Whoever comes back finds ticked what was.
addEventListener("pageshow", count);
tick();
setInterval(tick, 1000);
follow();
document.querySelectorAll("form[data-guard]").forEach(guard);
document.querySelectorAll("input[data-recognise]").forEach(recognise);
