"use strict";
/* One stream of JSON, drawn anew each time. Every text is set as text: no name of a hospital or study can become markup. */

const SVG = "http://www.w3.org/2000/svg";
const PHASES = {
  offered: ["waits for approval", "warn"], running: ["running", "good"], waiting: ["waits for hospitals", "warn"],
  stopped: ["stopped", ""], declined: ["declined", "bad"], failed: ["failed", "bad"], finished: ["finished", "good"],
};
const STANDINGS = {
  approved: ["approved", "good"], hours: ["approved, not at this hour", "warn"], finished: ["finished", "good"], offered: ["not decided", "warn"], unheard: ["not heard yet", "warn"],
  refused: ["refused", "bad"], revoked: ["revoked", "bad"], expired: ["approval expired", "bad"], unfit: ["cannot take part", "bad"],
  unproved: ["not proved", "bad"],
};
const STEPS = { open: "Opening", train: "Round", own: "Own models, round", evaluate: "Testing the model", personal: "Personal models", close: "Closing" };
const CLOCK_OFF_S = 5;
const open = new Set();
let session = sessionStorage.getItem("session") || "";

function make(tag, kind, ...inside) {
  const node = document.createElement(tag);
  if (kind) node.className = kind;
  node.append(...inside.filter((one) => one !== null && one !== undefined && one !== ""));
  return node;
}

function draw(tag, facts, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(facts)) node.setAttribute(name, String(value));
  if (text) node.textContent = text;
  return node;
}

const badge = ([text, kind]) => make("span", `badge ${kind}`, text);
const list = (names) => (names.length > 6 ? `${names.slice(0, 5).join(", ")} and ${names.length - 5} more` : names.join(", "));
const figure = (value, digits = 3) => (value === null || value === undefined ? "–" : value.toFixed(digits));

function ago(then, now) {
  if (!then) return "never";
  const s = Math.max(0, Math.round((now - then) / 1000));
  if (s < 90) return `${s} s ago`;
  if (s < 5400) return `${Math.round(s / 60)} min ago`;
  return s < 129600 ? `${Math.round(s / 3600)} h ago` : `${Math.round(s / 86400)} days ago`;
}

function span(seconds) {
  if (seconds < 90) return `${seconds.toFixed(1)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

function table(heads, rows, kind = "stack") {
  const numbers = new Set(heads.flatMap((head, k) => (head.startsWith("#") ? [k] : [])));
  const names = heads.map((head) => head.replace(/^#/, ""));
  const top = make("tr", "", ...names.map((name, k) => make("th", numbers.has(k) ? "number" : "", name)));
  const body = rows.map((cells) =>
    make("tr", "", ...cells.map((cell, k) => {
      const node = make(k ? "td" : "th", numbers.has(k) ? "number" : "", cell);
      if (k) node.dataset.name = names[k];
      return node;
    })));
  return make("div", "wide", make("table", kind, make("thead", "", top), make("tbody", "", ...body)));
}

function button(text, wish, question = "", kind = "") {
  const node = make("button", kind, text);
  node.type = "button";
  node.addEventListener("click", () => {
    if (!question || window.confirm(question)) send(wish, node);
  });
  return node;
}

async function send(wish, node) {
  node.disabled = true;
  try {
    const answer = await post("/wish", wish);
    if (answer.status === 401) return locked();
    const said = answer.ok ? "" : (await answer.json()).error;
    document.getElementById("told").textContent = said;
  } catch {
    document.getElementById("told").textContent = "The hub does not answer.";
  }
  node.disabled = false;
}

function post(path, fields) {
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${session}` };
  return fetch(path, { method: "POST", headers, body: JSON.stringify(fields), credentials: "omit" });
}

/* The learning curve: the headline figure of all hospitals together, round by round. */
function curve(study) {
  const points = study.rounds.filter((one) => one.score !== null).map((one) => [one.number, one.score, one.discarded]);
  if (!points.length) return null;
  const [w, h, left, right, low, top] = [460, 190, 46, 12, 26, 12];
  const rounds = Math.max(study.rounds_planned || 1, points[points.length - 1][0], 2);
  const values = points.map((one) => one[1]);
  let [least, most] = [Math.min(...values), Math.max(...values)];
  const room = Math.max((most - least) * 0.1, 0.005);
  [least, most] = [least - room, most + room];
  const x = (n) => left + ((n - 1) / (rounds - 1)) * (w - left - right);
  const y = (v) => h - low - ((v - least) / (most - least)) * (h - low - top);
  const last = points[points.length - 1];
  const svg = draw("svg", { viewBox: `0 0 ${w} ${h}`, role: "img",
    "aria-label": `${study.score_name} by round, of all hospitals together; round ${last[0]}: ${last[1].toFixed(4)}` });
  for (const v of [least + room, (least + most) / 2, most - room]) {
    svg.append(draw("line", { class: "axis", x1: left, x2: w - right, y1: y(v), y2: y(v) }));
    svg.append(draw("text", { class: "end", x: left - 6, y: y(v) + 4 }, v.toFixed(3)));
  }
  svg.append(draw("text", { x: left, y: h - 8 }, "round 1"), draw("text", { class: "end", x: w - right, y: h - 8 }, String(rounds)));
  svg.append(draw("path", { class: "curve", d: points.map(([n, v], k) => `${k ? "L" : "M"}${x(n).toFixed(1)} ${y(v).toFixed(1)}`).join("") }));
  for (const [n, v, discarded] of points) {
    if (discarded || points.length <= 40) {
      svg.append(draw("circle", { class: discarded ? "unused" : "dot", cx: x(n), cy: y(v), r: discarded ? 4 : 2.5 }));
    }
  }
  return make("div", "", make("h4", "", `${study.score_name} on validation patients of all hospitals together`), svg);
}

function doing(study, now) {
  if (study.phase === "offered") {
    const missing = study.sites.filter((one) => !["approved", "finished"].includes(one.state)).map((one) => one.name);
    return missing.length ? `Waits for the approval of ${list(missing)}.` : "All have approved.";
  }
  const at = study.exchange;
  if (study.phase !== "running" || !at) return "";
  const silent = at.asked.filter((one) => !at.answered.includes(one));
  const what = `${STEPS[at.step] || at.step}${at.rounds ? ` ${at.number} of ${at.rounds}` : ""}`;
  const waits = silent.length ? `waits for ${list(silent)}` : "all have answered";
  return `${what}: ${at.answered.length} of ${at.asked.length} hospitals answered, ${waits}; since ${span((now - at.since) / 1000)}.`;
}

function tiles(study) {
  const done = study.rounds.filter((one) => !one.discarded).length;
  const facts = study.evaluates ? [["evaluates the model", study.evaluates.slice(0, 12)]]
    : [["rounds", `${study.rounds.length} of ${study.rounds_planned}`]];
  const scored = study.rounds.filter((one) => one.score !== null);
  if (scored.length) facts.push([study.score_name, figure(scored[scored.length - 1].score)]);
  if (study.delta !== null) {
    const charged = study.rounds.filter((one) => one.epsilon !== null);
    const spent = charged.length ? figure(charged[charged.length - 1].epsilon, 2) : study.rounds.length ? "–" : "0";
    facts.push([`ε charged of planned, δ ${study.delta}`, `${spent} of ${study.epsilon === null ? "no bound" : figure(study.epsilon, 2)}`]);
  }
  if (done < study.rounds.length) facts.push(["rounds not used", String(study.rounds.length - done)]);
  return make("div", "figures", ...facts.map(([name, text]) => make("div", "", make("b", "", text), make("div", "faint", name))));
}

function siteRows(study, now) {
  return study.sites.map((one) => {
    const day = one.until ? new Date(one.until).toISOString().slice(0, 10) : "";
    return [
      one.name,
      badge(STANDINGS[one.state] || [one.state, ""]),
      one.fault || (one.by ? `by ${one.by}${day ? `, until ${day}` : ""}` : ""),
      one.word ? make("code", "", one.word) : "",
      ago(one.at, now),
    ];
  });
}

function roundRows(study) {
  return [...study.rounds].reverse().map((one) => [
    String(one.number), figure(one.score), figure(one.loss), one.epsilon === null ? "–" : figure(one.epsilon, 2), span(one.seconds),
    Object.entries(one.lost).map(([site, word]) => `${site} (${word})`).join(", ") || "",
    one.discarded ? make("code", "", one.discarded) : "",
  ]);
}

function folded(key, title, inside) {
  const node = make("details", "", make("summary", "", title), inside);
  node.open = open.has(key);
  node.addEventListener("toggle", () => {
    if (node.open) open.add(key);
    else open.delete(key);
    reachable(inside);
  });
  return node;
}

function buttons(study) {
  const { phase } = study;
  const name = study.title || study.study.slice(0, 12);
  const node = make("div", "buttons");
  if (phase === "waiting") {
    node.append(button("Go on without them", { wish: "resume", study: study.study },
      `Go on with “${name}” without ${list(study.awaits)}? What they would have added is lost.`));
  }
  if (["stopped", "declined", "failed"].includes(phase)) node.append(button("Resume", { wish: "resume", study: study.study }));
  if (["offered", "running", "waiting"].includes(phase)) {
    node.append(button("Stop", { wish: "stop", study: study.study }, `Stop “${name}” where it stands? It can go on later.`));
  }
  return node;
}

function studyCard(study, now) {
  const kind = { declined: "bad", failed: "bad", waiting: "warn" }[study.phase] || "";
  const title = make("div", "name", make("h3", "", study.title || "(cannot be read)"), badge(PHASES[study.phase] || [study.phase, ""]));
  const card = make("article", `card ${kind}`, make("div", "head", title, buttons(study)));
  card.append(make("p", "faint", make("code", "", study.study.slice(0, 12)), ` · ${study.protection}${study.evaluates ? " · evaluation only" : ""} · submitted ${ago(study.submitted, now)}`,
    study.lead ? ` · ${study.lead}` : ""));
  if (study.reason) card.append(make("p", "", study.reason));
  if (study.mend && study.phase !== "finished") card.append(make("p", "mend", study.mend));
  const line = doing(study, now);
  if (line) card.append(make("p", "", line));
  if (study.rounds.length || study.evaluates || study.phase === "running") {
    const bar = make("progress", "");
    bar.max = study.rounds_planned || 1;
    bar.value = study.rounds.length;
    bar.setAttribute("aria-label", "rounds done");
    if (!study.evaluates) card.append(bar);
    card.append(tiles(study));
  }
  const words = Object.entries(study.refusals);
  const right = make("div", "", curve(study), words.length
    ? make("p", "faint", `Lost in rounds, by word: ${words.map(([word, count]) => `${word} ${count}×`).join(", ")}`) : null);
  const left = make("div", "", table(["hospital", "approval", "", "last refusal", "heard"], siteRows(study, now)));
  card.append(right.childNodes.length ? make("div", "columns", left, right) : left);
  if (study.rounds.length) {
    card.append(folded(study.study, `Rounds (${study.rounds.length})`,
      table(["round", `#${study.score_name}`, "#loss", "#ε", "#time", "without", "not used"], roundRows(study), "")));
  }
  if (study.phase === "finished") card.append(make("p", "faint", `${study.evaluates ? "Record" : "Model, record"} and report: `, make("code", "", study.folder)));
  return card;
}

function waitingCard(one) {
  const node = make("div", "buttons");
  node.append(
    button("The words are the same", { wish: "confirm", name: one.name, words: one.words },
      `Did the person at ${one.name} read these eight words to you by telephone?`, "main"),
    button("They are not", { wish: "turn-away", name: one.name }, `Turn this one away? ${one.name} then needs a new invitation.`));
  return make("div", "card warn", make("h3", "", `${one.name} has joined and waits for you`),
    make("p", "", "Telephone the hospital, at a number that you know. Its terminal shows eight words. Are they these?"),
    make("span", "words", one.words), node);
}

function hospitalRows(view) {
  const awaited = new Map();
  for (const study of view.studies) {
    const silent = study.phase === "waiting" ? study.awaits
      : study.exchange ? study.exchange.asked.filter((one) => !study.exchange.answered.includes(one)) : [];
    for (const name of silent) awaited.set(name, [...(awaited.get(name) || []), study.title]);
  }
  return view.hospitals.map((one) => {
    const off = one.clock_s !== null && Math.abs(one.clock_s) > CLOCK_OFF_S;
    const clock = one.clock_s === null ? "" : `${one.clock_s > 0 ? "+" : ""}${one.clock_s.toFixed(1)} s`;
    const state = { confirmed: ["in the roster", "good"], waiting: ["to be confirmed", "warn"], revoked: ["revoked", "bad"] }[one.state];
    const here = one.last_seen && view.now - one.last_seen < 60000;
    return [one.name, badge(state || [one.state, ""]), here ? badge(["connected", "good"]) : ago(one.last_seen, view.now), one.release,
      off ? badge([clock, "bad"]) : clock, (awaited.get(one.name) || []).join(", ")];
  });
}

function show(view) {
  const main = document.getElementById("main");
  document.getElementById("title").textContent = view.hub.title ? `hub · ${view.hub.title}` : "hub";
  document.getElementById("foot").textContent =
    `${view.hub.address} · Wardround ${view.hub.release} · every figure is of all hospitals together`;
  const told = document.getElementById("told") || make("p", "");
  told.id = "told";
  told.setAttribute("role", "alert");
  const parts = [told, ...view.hospitals.filter((one) => one.state === "waiting").map(waitingCard)];
  parts.push(...view.damaged.map((one) => make("div", "card bad", make("h3", "", `Study ${one.study.slice(0, 12)} cannot be read`),
    make("p", "", one.reason))));
  parts.push(make("h2", "", "Studies"));
  const order = ["failed", "declined", "waiting", "running", "offered", "stopped", "finished"];
  const studies = [...view.studies].reverse().sort((a, b) => order.indexOf(a.phase) - order.indexOf(b.phase));
  parts.push(...(studies.length ? studies.map((one) => studyCard(one, view.now))
    : [make("p", "card", "No study yet: ", make("code", "", "wardround hub run STUDY.toml"))]));
  parts.push(make("h2", "", "Hospitals"));
  parts.push(view.hospitals.length
    ? make("div", "card", table(["hospital", "roster", "last seen", "release", "clock", "awaited for"], hospitalRows(view)))
    : make("p", "card", "No hospital yet: ", make("code", "", "wardround hub invite NAME")));
  const focused = document.activeElement && main.contains(document.activeElement) ? document.activeElement.textContent : null;
  main.replaceChildren(...parts);
  for (const one of main.querySelectorAll(".wide")) reachable(one);
  if (focused) [...main.querySelectorAll("button, summary")].find((one) => one.textContent === focused)?.focus();
}

/* What is wider than its place is scrolled, by whoever has no mouse as well. */
function reachable(node) {
  if (node.scrollWidth <= node.clientWidth) return;
  node.tabIndex = 0;
  node.setAttribute("role", "region");
  node.setAttribute("aria-label", "table, wider than the page");
}

function line(text, off = false) {
  const node = document.getElementById("line");
  node.textContent = text;
  node.className = off ? "off" : "";
}

function locked() {
  session = "";
  sessionStorage.removeItem("session");
  line("not logged in", true);
  document.getElementById("main").replaceChildren(make("div", "card", make("h3", "", "Log in"),
    make("p", "", "On the hub's machine run ", make("code", "", "wardround hub dashboard"), " and open the address that it prints.")));
}

async function login() {
  const code = location.hash.slice(1);
  history.replaceState(null, "", "/");
  const answer = await post("/login", { code });
  if (answer.ok) {
    session = (await answer.json()).session;
    sessionStorage.setItem("session", session);
  }
}

async function listen() {
  const answer = await fetch("/feed", { headers: { Authorization: `Bearer ${session}` }, credentials: "omit" });
  if (answer.status === 401) return false;
  if (!answer.ok) throw new Error(String(answer.status));
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return true;
    text += value;
    const events = text.split("\n\n");
    text = events.pop();
    if (events.length) {
      show(JSON.parse(events[events.length - 1].replace(/^data: /, "")));
      line("live");
    }
  }
}

async function start() {
  if (location.hash.length > 1) await login();
  for (;;) {
    try {
      if (!session || !(await listen())) return locked();
    } catch {
      line("the hub does not answer; trying again", true);
    }
    await new Promise((done) => setTimeout(done, 2000));
  }
}

start();
