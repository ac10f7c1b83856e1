// The reporting page: keys 1 to 5 choose the period; the chart tells the numbers of the step under the pointer.

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  document.querySelector(`a[data-key="${CSS.escape(event.key)}"]`)?.click();
});

let told = null;

function tell(frame, step) {
  if (told?.frame === frame && told.step === step) return;
  forget();
  const card = frame.closest(".card");
  const row = document.getElementById(frame.dataset.chart)?.querySelector(`tr[data-step="${step}"]`);
  told = { frame, step, kept: new Map() };
  set(card.querySelector("[data-chart-when]"), row ? row.cells[0].textContent : frame.dataset.quiet);
  for (const value of card.querySelectorAll("[data-chart-value]")) set(value, row ? row.cells[value.dataset.chartValue].textContent : value.dataset.chartValue === "4" ? "–" : "0");
  const mark = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  const width = 100 / Number(frame.dataset.steps);
  Object.entries({ class: "cursor", x: `${step * width}%`, width: `${width}%`, y: 0, height: "100%" }).forEach(([name, value]) => mark.setAttribute(name, value));
  frame.querySelector(".chart").append(mark);
  told.mark = mark;
}

function set(element, text) {
  told.kept.set(element, element.textContent);
  element.textContent = text;
}

function forget() {
  told?.kept.forEach((text, element) => (element.textContent = text));
  told?.mark?.remove();
  told = null;
}

let pointer = null;

function look(under) {
  const frame = under?.closest?.("[data-chart]");
  if (!frame) return forget();
  const place = frame.querySelector(".chart").getBoundingClientRect();
  const step = Math.floor(((pointer.clientX - place.left) / place.width) * Number(frame.dataset.steps));
  tell(frame, step);
}

document.addEventListener("pointermove", (event) => {
  pointer = event;
  look(event.target);
});

// The numbers came anew while the pointer rests on the chart.
document.addEventListener("fragment", () => {
  if (!told) return;
  told = null;
  look(document.elementFromPoint(pointer.clientX, pointer.clientY));
});
