"use strict";
const at = (id) => document.getElementById(id);
const number = (x) => Number(x).toLocaleString("en", { maximumSignificantDigits: 3 });
const sides = ["source", "target"];
const waiting = Object.fromEntries(sides.map((side) => [side, [at(`${side}-name`).textContent, at(`${side}-state`).textContent]]));
const uploads = {};
let busy = 0;
let heard = "";
let phase = "";
let timer = 0;
let verdict = "";
let watched = "";

async function ask(path, options) {
  const answer = await fetch(path, options);
  if (!answer.ok) {
    const body = await answer.json().catch(() => ({}));
    throw new Error(body.error || `The server answered ${answer.status}.`);
  }
  return answer;
}

// fetch reports no progress of an upload, and the files are large.
function send(side, path, file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    // A newer file of the same side takes the place of one that is still on its way.
    uploads[side]?.abort();
    uploads[side] = request;
    request.open("PUT", path);
    request.addEventListener("abort", () => resolve());
    request.upload.addEventListener("progress", (event) => progress(event.loaded / event.total));
    request.addEventListener("error", () => reject(new Error("The server did not answer.")));
    request.addEventListener("load", () => {
      if (request.status < 400) return resolve();
      let message = `The server answered ${request.status}.`;
      try { message = JSON.parse(request.responseText).error; } catch { /* not JSON: keep the status */ }
      return reject(new Error(message));
    });
    request.send(file);
  });
}

function fail(error) {
  at("error").hidden = !error;
  at("error").textContent = error ? error.message : "";
}

function element(name, text, className) {
  const made = document.createElement(name);
  made.textContent = text ?? "";
  if (className) made.className = className;
  return made;
}

// Clear the field: a browser reports no change if the same file is chosen again.
function empty(side) {
  [at(`${side}-name`).textContent, at(`${side}-state`).textContent] = waiting[side];
  at(side).value = "";
}

async function upload(side, file) {
  if (!file) return;
  fail();
  const limit = Number(document.body.dataset.maxBytes);
  if (file.size > limit) {
    at(side).value = "";
    return fail(new Error(`${file.name} is larger than ${Math.floor(limit / 2 ** 20).toLocaleString("en")} MiB; start with a larger --max-mb, or use interlingua fit, which needs no upload.`));
  }
  busy += 1;
  at("go").disabled = true;
  at(`${side}-name`).textContent = file.name;
  at(`${side}-state`).textContent = "Reading ...";
  try {
    await send(side, `/files/${side}?name=${encodeURIComponent(file.name)}`, file, (share) => {
      at(`${side}-state`).textContent = share < 1 ? `Reading, ${Math.round(100 * share)}%` : "Checking ...";
    });
  } catch (error) {
    empty(side);
    fail(error);
  }
  busy -= 1;
  await look();
}

for (const side of sides) {
  const drop = at(`${side}-drop`);
  at(side).addEventListener("change", () => upload(side, at(side).files[0]));
  for (const name of ["dragover", "dragenter"]) {
    drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    upload(side, event.dataTransfer.files[0]);
  });
}

function show(state) {
  for (const side of sides) {
    const file = state.files[side];
    at(`${side}-drop`).classList.toggle("full", Boolean(file));
    if (file) {
      at(`${side}-name`).textContent = file.name;
      at(`${side}-state`).textContent = `${file.rows.toLocaleString("en")} rows, width ${file.width}`;
    }
  }
  at("note").hidden = !state.note;
  at("note").textContent = state.note || "";
  const running = state.phase === "running";
  if (at("sample")) at("sample").disabled = running || busy > 0;
  at("go").disabled = running || busy > 0 || Object.keys(state.files).length < 2;
  at("cancel").hidden = !running;
  at("progress").hidden = !running && state.phase !== "stopped";
  showProgress(state, running);
  if (state.phase === "refused") fail(new Error(state.error));
  at("results-of-fit").hidden = state.phase !== "done";
  if (state.phase === "done") showVerdict(state.verdict);
  if (phase === "running" && state.phase === "done") {
    announce(`The fit has ended. Verdict: ${state.verdict.status}.`);
    at("verdict-title").focus();
  }
  phase = state.phase;
  clearTimeout(timer);
  if (running) timer = setTimeout(look, 700);
}

// The formats of times are those of the command line: of estimates, and of times that were measured.
function duration(seconds) {
  const whole = Math.round(seconds);
  return whole < 120 ? `${whole} s` : whole < 7200 ? `${Math.round(whole / 60)} min` : `${(whole / 3600).toFixed(1)} h`;
}

function taken(seconds) {
  const whole = Math.round(seconds);
  if (whole < 120) return `${whole} s`;
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60);
  return whole < 7200 ? `${minutes} min ${whole % 60} s` : `${hours} h ${minutes % 60} min`;
}

// A screen reader says what changes here; seconds that count up are only shown.
function announce(text) {
  if (text !== heard) at("announced").textContent = text;
  heard = text;
}

function showProgress(state, running) {
  at("share").hidden = !running;
  if (!running) {
    at("progress-text").textContent = "The fit was stopped.";
    if (state.phase === "stopped" && phase === "running") announce("The fit was stopped.");
    return;
  }
  const step = state.steps?.at(-1) || "starting";
  const known = typeof state.share === "number";
  if (known) at("share").value = Math.round(100 * state.share);
  else at("share").removeAttribute("value");
  const left = known ? `about ${Math.round(100 * state.share)}% done, about ${duration(state.seconds_left)} left` : "estimating the time left";
  at("progress-text").textContent = `Aligning for ${taken(state.seconds)}, ${left}: ${step}`;
  announce(`Aligning: ${step}`);
}

function bar(item) {
  const make = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const drawn = make("svg", { class: `bar ${item.passed ? "yes" : "no"}`, viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" });
  drawn.append(
    make("rect", { class: "track", y: 3, width: 100, height: 6 }),
    make("rect", { class: "fill", y: 3, width: 50 * item.bar, height: 6 }),
    make("rect", { class: "mark", x: 49.4, width: 1.2, height: 12 }),
  );
  return drawn;
}

function showVerdict(result) {
  verdict = result.status;
  at("verdict").className = `verdict ${result.status}`;
  at("status").textContent = result.status[0].toUpperCase() + result.status.slice(1);
  at("score").textContent = result.score.toFixed(2);
  at("meaning").textContent = result.meaning;
  at("reasons").replaceChildren(...result.reasons.map((reason) => element("li", reason)));
  at("evidence").replaceChildren(...(result.evidence || []).map((item) => {
    const row = document.createElement("tr");
    const name = element("th", item.name.replaceAll("_", " "));
    name.scope = "row";
    name.append(element("span", item.meaning, "meaning"));
    const shown = { value: number(item.value), null: number(item.null), needed: `${item.needed} ${number(item.threshold)}` };
    const values = Object.entries(shown).map(([label, text]) => {
      const cell = element("td", text, "n");
      cell.dataset.label = label;
      return cell;
    });
    const passed = document.createElement("td");
    passed.dataset.label = "passed";
    passed.append(element("span", item.passed ? "yes" : "no", `mark ${item.passed ? "yes" : "no"}`));
    const limit = element("td", "", "bars");
    limit.dataset.label = "limit";
    limit.append(bar(item));
    row.append(name, ...values, limit, passed);
    return row;
  }));
  at("force-label").hidden = verdict !== "failed";
  permit();
}

const forced = () => (verdict === "failed" && at("force").checked ? "1" : "0");

function permit() {
  const allowed = verdict !== "failed" || at("force").checked;
  at("download").hidden = !allowed;
  at("download").href = `/translator.zip?force=${forced()}`;
}
at("force").addEventListener("change", permit);

async function look() {
  try { show(await (await ask("/state")).json()); } catch (error) { fail(error); }
}

at("fit").addEventListener("submit", async (event) => {
  event.preventDefault();
  fail();
  try { await ask(`/fit?seed=${encodeURIComponent(at("seed").value)}`, { method: "POST" }); } catch (error) { fail(error); }
  at("results").replaceChildren();
  at("query").textContent = "";
  await look();
});

at("sample")?.addEventListener("click", async () => {
  fail();
  busy += 1;
  at("sample").disabled = true;
  announce("Reading the sample data.");
  sides.forEach(empty);
  try { await ask("/sample", { method: "POST" }); } catch (error) { fail(error); }
  busy -= 1;
  await look();
  if (!at("go").disabled) at("go").focus();
});

at("cancel").addEventListener("click", async () => {
  await ask("/cancel", { method: "POST" }).catch(fail);
  await look();
});

at("search").addEventListener("submit", async (event) => {
  event.preventDefault();
  fail();
  try {
    const words = at("words").value.trim();
    const asked = words ? `words=${encodeURIComponent(words)}` : `row=${encodeURIComponent(at("row").value)}`;
    const hits = await (await ask(`/search?side=${at("side").value}&${asked}`)).json();
    at("query").textContent = `Nearest to row ${hits.query.row.toLocaleString("en")} of ${at("side").value}, id ${hits.query.id}${hits.query.text ? `: ${hits.query.text}` : ""}${hits.warning ? `. ${hits.warning}` : ""}`;
    at("results").replaceChildren(...sides.map((side) => {
      const figure = document.createElement("figure");
      const title = element("figcaption", `Nearest in ${side}`);
      const table = document.createElement("table");
      table.setAttribute("aria-label", title.textContent);
      const shown = hits[side].some((hit) => hit.text);
      const head = document.createElement("thead");
      const names = document.createElement("tr");
      for (const [name, kind] of [["id", ""], ...(shown ? [["text", ""]] : []), ["cosine", "n"]]) {
        const cell = element("th", name, kind);
        cell.scope = "col";
        names.append(cell);
      }
      head.append(names);
      const body = document.createElement("tbody");
      for (const hit of hits[side]) {
        const row = document.createElement("tr");
        const id = element("th", hit.id);
        id.scope = "row";
        const cells = { ...(shown ? { text: element("td", hit.text ?? "–") } : {}), cosine: element("td", hit.cosine.toFixed(3), "n") };
        for (const [name, cell] of Object.entries(cells)) cell.dataset.label = name;
        row.append(id, ...Object.values(cells));
        body.append(row);
      }
      table.append(head, body);
      figure.append(title, table);
      return figure;
    }));
  } catch (error) { fail(error); }
});

at("translate").addEventListener("submit", async (event) => {
  event.preventDefault();
  fail();
  const file = at("given").files[0];
  at("translated").textContent = "Translating ...";
  const job = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const watch = setInterval(() => showTranslating(job), 1000);
  watched = job;
  try {
    const query = `direction=${at("direction").value}&name=${encodeURIComponent(file.name)}&force=${forced()}&job=${job}`;
    const answer = await ask(`/translate?${query}`, { method: "POST", body: file });
    // The server chooses the format, which may be another than that of the file.
    const given = /filename\*=utf-8''([^;]+)|filename="([^"]+)"/i.exec(answer.headers.get("content-disposition") ?? "");
    const blob = await answer.blob();
    const link = element("a");
    link.href = URL.createObjectURL(blob);
    link.download = given ? decodeURIComponent(given[1] ?? given[2]) : "translated";
    link.textContent = `Save ${link.download}`;
    at("translated").replaceChildren(link);
    link.focus();
  } catch (error) {
    at("translated").textContent = "";
    fail(error);
  }
  clearInterval(watch);
  if (watched === job) {
    watched = "";
    at("translating").textContent = "";
  }
});

// Rows and seconds are only shown: a screen reader says that the translation begins and ends.
async function showTranslating(job) {
  const told = await ask(`/translate/progress?job=${job}`).then((answer) => answer.json()).catch(() => ({}));
  if (watched !== job || !told.rows) return;
  const left = typeof told.seconds_left === "number" && told.done < told.rows ? `, about ${duration(told.seconds_left)} left` : "";
  at("translating").textContent = `${told.phase} row ${told.done.toLocaleString("en")} of ${told.rows.toLocaleString("en")}${left}`;
}

look();
