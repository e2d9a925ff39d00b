"use strict";
const at = (id) => document.getElementById(id);
const number = (x) => Number(x).toLocaleString("en", { maximumSignificantDigits: 3 });
const waiting = Object.fromEntries(["source", "target"].map((side) => [side, at(`${side}-state`).textContent]));
let busy = 0;
let timer = 0;
let verdict = "";

async function ask(path, options) {
  const answer = await fetch(path, options);
  if (!answer.ok) {
    const body = await answer.json().catch(() => ({}));
    throw new Error(body.error || `The server answered ${answer.status}.`);
  }
  return answer;
}

// fetch reports no progress of an upload, and the files are large.
function send(path, file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", path);
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
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

async function upload(side, file) {
  if (!file) return;
  fail();
  busy += 1;
  at("go").disabled = true;
  at(`${side}-name`).textContent = file.name;
  at(`${side}-state`).textContent = "Reading ...";
  try {
    await send(`/files/${side}?name=${encodeURIComponent(file.name)}`, file, (share) => {
      at(`${side}-state`).textContent = share < 1 ? `Reading, ${Math.round(100 * share)} %` : "Checking ...";
    });
  } catch (error) {
    at(`${side}-state`).textContent = waiting[side];
    fail(error);
  }
  busy -= 1;
  await look();
}

for (const side of ["source", "target"]) {
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
  for (const side of ["source", "target"]) {
    const file = state.files[side];
    at(`${side}-drop`).classList.toggle("full", Boolean(file));
    if (file) {
      at(`${side}-name`).textContent = file.name;
      at(`${side}-state`).textContent = `${file.rows.toLocaleString("en")} rows, width ${file.width}`;
    }
  }
  const running = state.phase === "running";
  at("go").disabled = running || busy > 0 || Object.keys(state.files).length < 2;
  at("cancel").hidden = !running;
  at("progress").hidden = !running && state.phase !== "stopped";
  at("progress").textContent = running
    ? `Aligning, ${Math.round(state.seconds)} s${state.steps.length ? `: ${state.steps.at(-1)}` : ""}`
    : "The fit was stopped.";
  if (state.phase === "refused") fail(new Error(state.error));
  at("results-of-fit").hidden = state.phase !== "done";
  if (state.phase === "done") showVerdict(state.verdict);
  clearTimeout(timer);
  if (running) timer = setTimeout(look, 700);
}

function showVerdict(result) {
  verdict = result.status;
  at("verdict").className = `verdict ${result.status}`;
  at("status").textContent = result.status[0].toUpperCase() + result.status.slice(1);
  at("score").textContent = result.score.toFixed(2);
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
    row.append(name, ...values, passed);
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
  await look();
});

at("cancel").addEventListener("click", async () => {
  await ask("/cancel", { method: "POST" }).catch(fail);
  await look();
});

at("search").addEventListener("submit", async (event) => {
  event.preventDefault();
  fail();
  try {
    const hits = await (await ask(`/search?side=${at("side").value}&row=${encodeURIComponent(at("row").value)}`)).json();
    at("results").replaceChildren(...["source", "target"].map((side) => {
      const figure = document.createElement("figure");
      const title = element("figcaption", `Nearest in ${side}`);
      const table = document.createElement("table");
      const body = document.createElement("tbody");
      for (const hit of hits[side]) {
        const row = document.createElement("tr");
        row.append(element("td", hit.id), element("td", hit.cosine.toFixed(3), "n"));
        body.append(row);
      }
      table.append(body);
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
  try {
    const query = `direction=${at("direction").value}&name=${encodeURIComponent(file.name)}&force=${forced()}`;
    const blob = await (await ask(`/translate?${query}`, { method: "POST", body: file })).blob();
    const link = element("a", "Save");
    link.href = URL.createObjectURL(blob);
    link.download = file.name.replace(/\.|$/, ".translated$&");
    at("translated").replaceChildren(link);
  } catch (error) {
    at("translated").textContent = "";
    fail(error);
  }
});

look();
