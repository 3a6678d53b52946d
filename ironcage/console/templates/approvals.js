"use strict";
// Keeps the list up to date. A card never moves while the page is open, so that no click hits another call than the
// one that was read: new calls come last, and those that are over stay where they are, without their buttons.
const list = document.getElementById("questions");
const form = document.getElementById("decisions");
const live = document.getElementById("live");
const LIVE = "What comes appears by itself.";
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

for (const name of ["token", "by"]) {
  const field = form.elements[name];
  if (form.dataset.refused === "") sessionStorage.removeItem("token");
  field.value = sessionStorage.getItem(name) ?? field.value;
  form.addEventListener("submit", () => sessionStorage.setItem(name, field.value));
}

function countDown() {
  for (const time of document.querySelectorAll("[data-left]")) {
    const left = Math.max(0, Number(time.dataset.left) - (performance.now() - Number(time.dataset.from)) / 1000);
    const minutes = Math.floor(left / 60), rest = String(Math.floor(left % 60)).padStart(2, "0");
    time.textContent = `${minutes}:${rest} left`;
    time.classList.toggle("soon", left < 60);
  }
}

function begun(root) {
  for (const time of root.querySelectorAll("[data-left]")) time.dataset.from = performance.now();
}

function isOver(card) {
  card.classList.add("over");
  for (const field of card.querySelectorAll("button, input")) field.disabled = true;
  card.querySelector(".standing").textContent = "No longer waits.";
}

function tell() {
  document.getElementById("none").hidden = list.querySelector(".question:not(.over)") !== null;
  const waiting = list.querySelectorAll(".question.waiting:not(.over)").length;
  document.title = document.title.replace(/^(\(\d+\) )?/, waiting ? `(${waiting}) ` : "");
}

function merge(fresh) {
  const now = new Map([...fresh.querySelectorAll(".question")].map((card) => [card.id, card]));
  for (const card of list.querySelectorAll(".question:not(.over)")) {
    const other = now.get(card.id);
    if (!other) { isOver(card); continue; }
    now.delete(card.id);
    card.className = other.className;
    for (const part of [".standing", ".buttons"]) {
      const mine = card.querySelector(part), theirs = other.querySelector(part);
      if (part === ".buttons" && mine.dataset.open === theirs.dataset.open) continue;
      mine.replaceWith(document.adoptNode(theirs));
    }
  }
  for (const card of now.values()) {
    document.getElementById(card.id)?.remove();
    list.append(document.adoptNode(card));
  }
  tell();
  begun(list);
  countDown();
}

async function watch() {
  let version = list.dataset.version;
  live.textContent = LIVE;
  for (;;) {
    try {
      const reply = await fetch(`/api/approvals?since=${version}`, { headers: { Accept: "application/json" } });
      if (!reply.ok) throw new Error(String(reply.status));
      const said = await reply.json();
      live.textContent = LIVE;
      if (String(said.version) === version) continue;
      const page = await (await fetch("/approvals", { headers: { Accept: "text/html" } })).text();
      const fresh = new DOMParser().parseFromString(page, "text/html").getElementById("questions");
      if (!fresh) throw new Error("no list");
      version = fresh.dataset.version;
      merge(fresh);
    } catch {
      live.textContent = "Not connected: what is shown may be old.";
      await pause(3000);
    }
  }
}

tell();
begun(list);
countDown();
setInterval(countDown, 1000);
watch();
