"use strict";
const at = (id) => document.getElementById(id);
const number = (x) => Number(x).toLocaleString("en", { maximumSignificantDigits: 3 });
const waiting = Object.fromEntries(["source", "target"].map((side) => [side, at(`${side}-told`).textContent]));
let busy = 0;
let timer = 0;
let verdict = "";

async function ask(path, options) {
  const answer = await fetch(path, options);
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new Error(told.error || `The server answered ${answer.status}.`);
  }
  return answer;
}

// fetch tells nothing while a file goes up; files here are large.
function send(path, file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", path);
    request.upload.addEventListener("progress", (event) => progress(event.loaded / event.total));
    request.addEventListener("error", () => reject(new Error("The server did not answer.")));
    request.addEventListener("load", () => {
      if (request.status < 400) return resolve();
      let told = `The server answered ${request.status}.`;
      try { told = JSON.parse(request.responseText).error; } catch { /* no JSON: the status says it */ }
      return reject(new Error(told));
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

async function give(side, file) {
  if (!file) return;
  fail();
  busy += 1;
  at("go").disabled = true;
  at(`${side}-name`).textContent = file.name;
  at(`${side}-told`).textContent = "Reading ...";
  try {
    await send(`/files/${side}?name=${encodeURIComponent(file.name)}`, file, (share) => {
      at(`${side}-told`).textContent = share < 1 ? `Reading, ${Math.round(100 * share)} %` : "Checking ...";
    });
  } catch (error) {
    at(`${side}-told`).textContent = waiting[side];
    fail(error);
  }
  busy -= 1;
  await look();
}

for (const side of ["source", "target"]) {
  const drop = at(`${side}-drop`);
  at(side).addEventListener("change", () => give(side, at(side).files[0]));
  for (const name of ["dragover", "dragenter"]) {
    drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    give(side, event.dataTransfer.files[0]);
  });
}

function show(state) {
  for (const side of ["source", "target"]) {
    const file = state.files[side];
    at(`${side}-drop`).classList.toggle("full", Boolean(file));
    if (file) {
      at(`${side}-name`).textContent = file.name;
      at(`${side}-told`).textContent = `${file.rows.toLocaleString("en")} rows, width ${file.width}`;
    }
  }
  const running = state.phase === "running";
  at("go").disabled = running || busy > 0 || Object.keys(state.files).length < 2;
  at("cancel").hidden = !running;
  at("progress").hidden = !running && state.phase !== "stopped";
  at("progress").textContent = running
    ? `Aligning, ${Math.round(state.seconds)} s${state.steps.length ? `: ${state.steps.join(", ")}` : ""}`
    : "The fit was stopped.";
  if (state.phase === "refused") fail(new Error(state.error));
  at("found").hidden = state.phase !== "done";
  if (state.phase === "done") tell(state.verdict);
  clearTimeout(timer);
  if (running) timer = setTimeout(look, 700);
}

function tell(found) {
  verdict = found.status;
  at("verdict").className = `verdict ${found.status}`;
  at("status").textContent = found.status[0].toUpperCase() + found.status.slice(1);
  at("score").textContent = found.score.toFixed(2);
  at("reasons").replaceChildren(...found.reasons.map((reason) => element("li", reason)));
  at("evidence").replaceChildren(...(found.evidence || []).map((item) => {
    const row = document.createElement("tr");
    const name = element("th", item.name);
    name.scope = "row";
    name.append(element("span", item.meaning, "meaning"));
    const values = Object.entries({ value: "value", null: "null", needed: "threshold" }).map(([label, part]) => {
      const cell = element("td", number(item[part]), "n");
      cell.dataset.label = label;
      return cell;
    });
    const met = document.createElement("td");
    met.dataset.label = "met";
    met.append(element("span", item.passed ? "yes" : "no", `mark ${item.passed ? "yes" : "no"}`));
    row.append(name, ...values, met);
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
    const found = await (await ask(`/search?side=${at("side").value}&row=${encodeURIComponent(at("row").value)}`)).json();
    at("results").replaceChildren(...["source", "target"].map((side) => {
      const figure = document.createElement("figure");
      const title = element("figcaption", `nearest in ${side}`);
      const table = document.createElement("table");
      const body = document.createElement("tbody");
      for (const hit of found[side]) {
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
    const query = `way=${at("way").value}&name=${encodeURIComponent(file.name)}&force=${forced()}`;
    const blob = await (await ask(`/translate?${query}`, { method: "POST", body: file })).blob();
    const link = element("a", "Save");
    link.href = URL.createObjectURL(blob);
    link.download = `${file.name.split(".")[0]}.translated.npy`;
    at("translated").replaceChildren(link);
  } catch (error) {
    at("translated").textContent = "";
    fail(error);
  }
});

look();
