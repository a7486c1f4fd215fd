// Two things that pages cannot do by themselves: ask before something is canceled, and zoom by dragging over a series.
"use strict";

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.sure;
  if (question && !window.confirm(question)) event.preventDefault();
});

let drag = null;

function place(svg, event) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  return Math.min(Math.max(point.x, Number(svg.dataset.left)), Number(svg.dataset.right));
}

document.addEventListener("pointerdown", (event) => {
  const svg = event.target.closest && event.target.closest("svg.series");
  if (!svg || event.button !== 0) return;
  const mark = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  mark.setAttribute("class", "selection");
  mark.setAttribute("y", "12");
  mark.setAttribute("height", "264");
  svg.append(mark);
  drag = { svg, mark, start: place(svg, event) };
});

document.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const now = place(drag.svg, event);
  drag.mark.setAttribute("x", String(Math.min(now, drag.start)));
  drag.mark.setAttribute("width", String(Math.abs(now - drag.start)));
});

document.addEventListener("pointerup", (event) => {
  if (!drag) return;
  const { svg, mark, start } = drag;
  const end = place(svg, event);
  drag = null;
  mark.remove();
  const form = svg.closest("div.series")?.querySelector("form");
  if (!form || Math.abs(end - start) < 5) return;
  const left = Number(svg.dataset.left), width = Number(svg.dataset.right) - left;
  const first = Number(svg.dataset.start), length = Number(svg.dataset.stop) - first;
  const times = [start, end].sort((a, b) => a - b).map((at) => first + ((at - left) / width) * length);
  form.elements.start.value = times[0].toPrecision(7);
  form.elements.stop.value = times[1].toPrecision(7);
  form.requestSubmit();
});

document.addEventListener("pointercancel", () => {
  if (drag) drag.mark.remove();
  drag = null;
});
