"use strict";
// The page has its data in it, or asks who served it. Everything shown is put there as text: no markup is ever made
// of what came from elsewhere.

const data = JSON.parse(document.getElementById("data").textContent);
const served = data.map === null;
const $ = (id) => document.getElementById(id);

const state = {
  map: data.map,
  token: "",
  ends: [], // the sender's key, then the receiver's
  way: new Set(), // the tunnels that the trace led through, as "a b"
  rates: new Map(), // by endpoint's key: packets and bytes per second
  counts: new Map(), // by host: the last traffic that was told
  names: new Map(), // networks by ID
  here: "", // the host that serves
  question: null, // the trace that is asked for; another answer comes too late
};

const keyOf = (network, endpoint) => network + "/" + endpoint;

// make makes an element with a class and children; strings become text.
function make(tag, className, ...kids) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...kids.filter((kid) => kid !== null && kid !== ""));
  return e;
}

// ask fetches from who served the page; a refusal's reason becomes the error's text.
async function ask(path, body) {
  const init = { headers: {}, cache: "no-store", redirect: "error" };
  if (state.token) init.headers["Authorization"] = "Bearer " + state.token;
  if (body) {
    init.method = "POST";
    init.headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  const reply = await fetch("v1/" + path, init);
  if (reply.status === 401) $("door").hidden = false;
  if (!reply.ok) throw new Error((await reply.text()).trim() || reply.statusText);
  return reply;
}

function trouble(error) {
  $("trouble").textContent = error ? String(error.message || error) : "";
}

// --- the picture ---

async function renew() {
  if (document.hidden && state.map) return;
  const [map, wide, narrow] = await Promise.all([
    ask("map").then((r) => r.json()), ask("picture?form=wide").then((r) => r.text()), ask("picture?form=narrow").then((r) => r.text()),
  ]);
  state.map = map;
  state.here = map.here;
  for (const [id, text] of [["wide", wide], ["narrow", narrow]]) {
    const drawing = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
    $(id).replaceChildren(document.importNode(drawing, true));
  }
  $("summary").textContent = map.hosts.length + " hosts, " + map.tunnel_count + " tunnels, " + map.networks.length + " networks, " + map.endpoints.length + " endpoints";
  $("when").textContent = "as of " + new Date(map.at).toLocaleTimeString();
  show();
}

function show() {
  state.names = new Map(state.map.networks.map((n, i) => [n.id, { name: n.name, color: "n" + (i % 10) }]));
  const there = new Set(state.map.endpoints.map((e) => keyOf(e.network, e.id)));
  state.ends = state.ends.filter((key) => there.has(key));
  rows();
  mark();
  showRates();
}

// mark shows which containers were chosen.
function mark() {
  for (const e of document.querySelectorAll("[data-endpoint]")) {
    e.classList.toggle("picked", state.ends.includes(keyOf(e.dataset.network, e.dataset.endpoint)));
  }
  for (const e of document.querySelectorAll("[data-a]")) {
    e.classList.toggle("way", state.way.has(e.dataset.a + " " + e.dataset.b) || state.way.has(e.dataset.b + " " + e.dataset.a));
  }
  if (!served) return;
  ["from", "to"].forEach((id, i) => {
    const end = endpoint(state.ends[i]);
    $(id).classList.toggle("set", Boolean(end));
    $(id).replaceChildren(...(end ? [label(end)] : [["sender", "receiver"][i]]));
  });
  $("go").disabled = state.ends.length < 2;
  $("swap").disabled = state.ends.length < 2;
  $("clear").disabled = state.ends.length < 1;
}

function endpoint(key) {
  return key && state.map.endpoints.find((e) => keyOf(e.network, e.id) === key);
}

function label(e) {
  const network = state.names.get(e.network) || { name: e.network, color: "" };
  return make("span", network.color, make("span", "dot"), e.name, " ", make("span", "soft", "on " + e.node));
}

// pick chooses a container; with the second one the packet is followed.
function pick(key) {
  if (!served) return;
  state.question = null;
  state.way.clear();
  if (state.ends.includes(key)) state.ends = state.ends.filter((k) => k !== key);
  else state.ends = state.ends.length < 2 ? [...state.ends, key] : [key];
  mark();
  if (state.ends.length === 2) trace();
  else $("answer").replaceChildren();
}

function chosen(event) {
  const e = event.target.closest("[data-endpoint], [data-host][role=button]");
  if (!e || (event.type === "keydown" && event.key !== "Enter" && event.key !== " ")) return;
  if (event.type === "keydown") event.preventDefault();
  if (e.dataset.endpoint) {
    pick(keyOf(e.dataset.network, e.dataset.endpoint));
    return;
  }
  $("filter").value = "host:" + e.dataset.host;
  rows();
  $("filter").scrollIntoView({ block: "center" });
}

// --- the list of containers ---

const mostRows = 200;

function rows() {
  const word = $("filter").value.trim().toLowerCase();
  const host = word.startsWith("host:") ? word.slice(5) : null;
  const found = state.map.endpoints.filter((e) => {
    if (host !== null) return e.node.toLowerCase() === host;
    const network = state.names.get(e.network);
    return [e.name, e.ipv4 || "", e.ipv6 || "", e.mac, e.node, e.id, network ? network.name : ""].some((text) => text.toLowerCase().includes(word));
  });
  $("shown").textContent = found.length > mostRows ? "the first " + mostRows + " of " + found.length : found.length + " shown";
  $("rows").replaceChildren(...found.slice(0, mostRows).map((e) => {
    const network = state.names.get(e.network) || { name: e.network, color: "" };
    const row = make("tr", "", make("td", "", e.name), make("td", network.color, make("span", "dot"), network.name),
      make("td", "mono", e.ipv4 || e.ipv6 || "-"), make("td", "", e.node), make("td", "number sends"), make("td", "number receives"), make("td", "number spoofed"));
    row.dataset.network = e.network;
    row.dataset.endpoint = e.id;
    row.tabIndex = 0;
    return row;
  }));
  mark();
  showRates();
}

// --- live counters ---

// count takes in what a host told of its traffic.
function count(traffic) {
  const before = state.counts.get(traffic.node);
  state.counts.set(traffic.node, traffic);
  const seconds = before ? (Date.parse(traffic.at) - Date.parse(before.at)) / 1000 : 0;
  if (before && seconds <= 0) return;
  forgetRates(traffic.node);
  const old = new Map((before ? before.endpoints : []).map((e) => [keyOf(e.network, e.endpoint), e]));
  for (const e of traffic.endpoints) {
    const key = keyOf(e.network, e.endpoint), was = old.get(key);
    // A link that was made anew counts from nothing.
    const rate = (field) => (was && e[field] >= was[field] ? (e[field] - was[field]) / seconds : 0);
    state.rates.set(key, { from: rate("from_bytes"), to: rate("to_bytes"), spoofed: e.spoofed, known: Boolean(was), node: traffic.node });
  }
}

// forgetRates drops what was counted on a host, which would look like traffic for ever when it is told no more.
function forgetRates(node) {
  for (const [key, rate] of state.rates) if (rate.node === node) state.rates.delete(key);
}

function forget(node) {
  state.counts.delete(node);
  forgetRates(node);
}

function bits(bytesPerSecond) {
  let n = bytesPerSecond * 8;
  for (const unit of ["bit/s", "kbit/s", "Mbit/s"]) {
    if (n < 1000) return (n < 10 && n > 0 ? n.toFixed(1) : Math.round(n)) + " " + unit;
    n /= 1000;
  }
  return n.toFixed(1) + " Gbit/s";
}

function showRates() {
  const hosts = new Map(), networks = new Map();
  for (const e of state.map.endpoints) {
    const rate = state.rates.get(keyOf(e.network, e.id));
    if (!rate || !rate.known) continue;
    hosts.set(e.node, (hosts.get(e.node) || 0) + rate.from);
    networks.set(e.network, (networks.get(e.network) || 0) + rate.from);
  }
  for (const chip of document.querySelectorAll(".picture .chip")) {
    const rate = state.rates.get(keyOf(chip.dataset.network, chip.dataset.endpoint));
    const flow = rate && rate.known ? rate.from + rate.to : 0;
    chip.querySelector(".rate").textContent = flow > 0 ? bits(flow) : "";
    chip.classList.toggle("busy", flow > 0);
  }
  const total = (selector, sums, name, words) => {
    for (const e of document.querySelectorAll(".picture " + selector)) {
      const rate = e.querySelector(":scope > .rate");
      if (rate) rate.textContent = sums.get(e.dataset[name]) > 0 ? words + bits(sums.get(e.dataset[name])) : "";
    }
  };
  total("[data-host]", hosts, "host", "sends ");
  total(".network[data-network]", networks, "network", "");
  for (const row of $("rows").children) {
    const rate = state.rates.get(keyOf(row.dataset.network, row.dataset.endpoint));
    row.querySelector(".sends").textContent = rate && rate.known ? bits(rate.from) : "";
    row.querySelector(".receives").textContent = rate && rate.known ? bits(rate.to) : "";
    row.querySelector(".spoofed").textContent = rate ? rate.spoofed : "";
    row.querySelector(".spoofed").classList.toggle("bad", Boolean(rate && rate.spoofed));
  }
}

// The host that serves is asked each time, of the others two, in turn: a page costs etcd little.
let turn = 0;
async function countAll() {
  if (document.hidden || !state.map) return;
  const others = state.map.hosts.filter((h) => h.name !== state.here && h.endpoints > 0 && h.state !== "away" && h.state !== "silent").map((h) => h.name);
  for (const node of [...state.counts.keys()]) if (node !== state.here && !others.includes(node)) forget(node);
  const asked = new Set([state.here, others[turn++ % others.length], others[turn++ % others.length]].filter(Boolean));
  await Promise.all([...asked].map(async (name) => {
    try {
      count(await (await ask("traffic?host=" + encodeURIComponent(name))).json());
    } catch (error) {
      forget(name);
    }
  }));
  showRates();
}

// again does something now and then, never twice at a time.
function again(what, pause) {
  const next = () => what().then(() => trouble(null), trouble).then(() => setTimeout(next, pause));
  next();
}

// --- the trace ---

async function trace() {
  const [from, to] = state.ends.map(endpoint);
  if (!from || !to) return;
  const body = { from: { network: from.network, endpoint: from.id }, to: { network: to.network, endpoint: to.id }, proto: $("proto").value };
  if (body.proto === "tcp" || body.proto === "udp") body.dport = Number($("dport").value);
  if ("dport" in body && !(Number.isInteger(body.dport) && body.dport > 0 && body.dport < 65536)) {
    state.question = null;
    $("answer").replaceChildren(make("p", "bad", "no such port: use 1 to 65535"));
    return;
  }
  const question = (state.question = body);
  $("answer").replaceChildren(make("p", "soft", "asking the hosts …"));
  try {
    const told = await (await ask("trace", body)).json();
    if (state.question === question) draw(told);
  } catch (error) {
    if (state.question === question) $("answer").replaceChildren(make("p", "bad", error.message));
  }
}

// draw shows a trace, as `ovsnet flows trace -o json` prints it.
function draw(told) {
  const v = told.verdict;
  const good = v.outcome !== "dropped" && v.agreed;
  const verdict = make("div", "verdict" + (good ? (v.checked ? "" : " unsure") : " no"), make("h3", good ? "good" : "bad", v.text));
  for (const cause of v.causes) verdict.append(make("p", "bad", "cause: " + cause));
  verdict.append(make("p", "soft", v.checked ? (v.agreed ? "ovsnet's evaluation of the desired flows and Open vSwitch's of the installed ones agree on every host"
    : "desired and installed flows disagree") : "not all of it could be checked: a host or its Open vSwitch did not answer"));
  state.way = new Set(told.walks.flatMap((w) => w.passages.slice(1).map((p, i) => w.passages[i].node + " " + p.node)));
  mark();
  $("answer").replaceChildren(verdict, ...told.walks.map(walk).reverse());
  verdict.scrollIntoView({ block: "start", behavior: "auto" });
}

// walk shows one packet's way, and lets it be gone through step by step.
function walk(w) {
  const steps = [], tunnels = [];
  const hosts = make("div", "hosts");
  w.passages.forEach((p, i) => {
    if (i > 0) {
      tunnels.push({ box: between(w.passages[i - 1]), after: steps.length });
      hosts.append(tunnels[tunnels.length - 1].box);
    }
    hosts.append(passage(p, w, steps, i === w.passages.length - 1));
  });
  const back = make("button", "", "‹ back"), on = make("button", "", "next ›"), where = make("span", "soft");
  let now = steps.length;
  const go = (to) => {
    now = Math.max(0, Math.min(steps.length, to));
    steps.forEach((s, i) => {
      s.box.classList.toggle("lit", i < now || now === steps.length);
      s.box.classList.toggle("now", i === now - 1 && now < steps.length);
    });
    tunnels.forEach((t) => t.box.classList.toggle("lit", t.after <= now));
    where.textContent = now === steps.length ? steps.length + " steps" : "step " + now + " of " + steps.length + (now > 0 ? ": " + steps[now - 1].words : "");
    back.disabled = now === 0;
  };
  back.addEventListener("click", () => go(now === steps.length ? steps.length - 1 : now - 1));
  on.addEventListener("click", () => go(now === steps.length ? 1 : now + 1));
  go(now);
  const what = w.purpose === "address" ? "First, the question for the receiver's address" : "The packet";
  return make("div", "walk", make("h2", "", what), make("div", "mono soft", w.packet), make("p", w.verdict.outcome === "dropped" ? "bad" : "good", w.verdict.text),
    make("div", "steps-nav", back, on, where), hosts);
}

// between is the tunnel from one host to the next.
function between(p) {
  const exit = exitsOf(p).find((e) => e.tunnel);
  const words = exit ? [make("strong", "", "tunnel"), make("span", "", "VNI " + exit.tunnel.vni), make("span", "mono", exit.tunnel.src + " → " + exit.tunnel.dst)] : [make("strong", "", "tunnel")];
  return make("div", "between", ...words);
}

const wayOf = (p) => p.installed || p.desired;
const exitsOf = (p) => wayOf(p).exits;

function passage(p, w, steps, last) {
  const way = wayOf(p);
  const who = { agent: "told by its agent", host: "read without its agent", records: "from the records" }[p.source] || p.source;
  const card = make("div", "pass", make("div", "pass-head", make("h3", "", p.node), make("span", "soft", who)));
  if (p.silent) card.append(make("p", "warn", p.silent));
  card.append(make("div", "port-in", "→ " + p.entry));
  const rest = [...way.steps];
  for (const table of data.tables) {
    const met = rest.filter((s) => s.table === table.id);
    if (met.length === 0) card.append(make("div", "table skipped", make("div", "table-head", make("span", "", table.id + " " + table.name), make("span", "soft", table.meaning))));
    for (const s of met) card.append(step(s, table, steps, p.node));
  }
  for (const s of rest.filter((s) => !data.tables.some((t) => t.id === s.table))) card.append(step(s, { id: s.table, name: s.table_name, meaning: "" }, steps, p.node));
  for (const e of way.exits) card.append(make("div", "port-out", (e.back ? "↩ " : "→ ") + e.name + (e.host ? " to " + e.host : "")));
  if (way.why) {
    card.append(make("p", "bad", way.why));
    if (last && steps.length > 0) steps[steps.length - 1].box.classList.add("last", "no");
  }
  for (const f of p.findings) card.append(make("p", "bad", "! " + (f.table ? f.table + ": " : "") + f.text));
  return card;
}

function step(s, table, steps, node) {
  const color = { installed: "good", unseen: "soft" }[s.state] || "bad";
  const box = make("div", "table",
    make("div", "table-head", make("span", "step", String(steps.length + 1)), make("strong", "", table.id + " " + table.name),
      s.miss ? make("span", "badge bad", "no flow") : make("span", "badge " + color, s.state)),
    make("div", "", s.miss ? "no flow of the table matches" : s.reason));
  if (!s.miss) {
    const flow = make("dl", "flow", make("dt", "", "match"), make("dd", "mono", "priority " + s.priority + (s.match ? ", " + s.match : "")),
      make("dt", "", "does"), make("dd", "mono", s.actions || "drop"));
    if (s.should) flow.append(make("dt", "", "should"), make("dd", "mono good", s.should));
    if (s.state !== "unseen") flow.append(make("dt", "", "counted"), make("dd", "mono", s.packets + " packets, " + s.bytes + " bytes"));
    box.append(flow);
  }
  steps.push({ box, words: node + ", " + table.name + ": " + (s.miss ? "no flow" : s.reason) });
  return box;
}

// --- beginning ---

document.addEventListener("click", chosen);
document.addEventListener("keydown", chosen);
$("filter").addEventListener("input", () => state.map && rows());
$("search").addEventListener("submit", (event) => event.preventDefault());
$("proto").addEventListener("change", () => { $("dport-label").hidden = !["tcp", "udp"].includes($("proto").value); });
$("question").addEventListener("submit", (event) => { event.preventDefault(); trace(); });
$("swap").addEventListener("click", () => { state.ends.reverse(); mark(); trace(); });
$("clear").addEventListener("click", () => { state.question = null; state.ends = []; state.way.clear(); mark(); $("answer").replaceChildren(); });

function begin() {
  $("door").hidden = true;
  again(renew, 15000);
  again(countAll, 2000);
}

if (served) {
  $("trace").hidden = false;
  // The token comes behind #, which browsers keep to themselves, and leaves the address line at once.
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    state.token = given;
    history.replaceState(null, "", location.pathname);
  }
  $("door").addEventListener("submit", (event) => {
    event.preventDefault();
    state.token = $("token").value.trim();
    $("token").value = "";
    $("door").hidden = true;
    renew().then(() => trouble(null), trouble);
  });
  begin();
} else {
  document.body.classList.add("still");
  show();
}
