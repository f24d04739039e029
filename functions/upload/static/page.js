// The page: files come from the picker or are dropped, options go with them, and what is under
// way is found again after a reload.

import { song } from "./song.js";

const form = document.getElementById("form");
const files = document.getElementById("files");
const drop = document.getElementById("drop");
const REMEMBERED = 20;

function add(list) {
  const problem = document.getElementById("page-problem");
  const most = Number(form.dataset.songBytes);
  const all = [...list];
  const tooLarge = all.filter((file) => file.size > most || file.size === 0);
  problem.textContent = tooLarge.length
    ? `Empty or too large: ${tooLarge.map((file) => file.name).join(", ")}` : "";
  for (const file of all.filter((one) => !tooLarge.includes(one))) {
    song(file.name).send(file, options(), (job) => remember(job, file.name));
  }
}

// What was chosen and differs from the defaults.
function options() {
  const chosen = {};
  for (const field of form.querySelectorAll("#options [name]")) {
    const isShown = !field.closest("[hidden]");
    const isFirst = field.tagName === "SELECT" && field.selectedIndex === 0;
    if (isShown && field.value.trim() && !isFirst) chosen[field.name] = field.value.trim();
  }
  return chosen;
}

function fitFormat() {
  const format = form.elements.format.value;
  for (const field of form.querySelectorAll("[data-for]")) {
    field.hidden = !field.dataset.for.split(" ").includes(format);
  }
  if (form.elements.bits.selectedOptions[0].hidden) form.elements.bits.value = "16";
}

function remember(job, name) {
  const known = JSON.parse(sessionStorage.getItem("songs") ?? "[]");
  sessionStorage.setItem("songs", JSON.stringify([...known, { job, name }].slice(-REMEMBERED)));
}

files.addEventListener("change", () => {
  add(files.files);
  files.value = ""; // so that the same file can be chosen again
});
form.elements.format.addEventListener("change", fitFormat);
form.addEventListener("submit", (submit) => submit.preventDefault());
for (const type of ["dragenter", "dragover"]) {
  drop.addEventListener(type, (dragged) => {
    dragged.preventDefault();
    drop.classList.add("over");
  });
}
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (dropped) => {
  dropped.preventDefault();
  drop.classList.remove("over");
  add(dropped.dataTransfer.files);
});

fitFormat();
for (const { job, name } of JSON.parse(sessionStorage.getItem("songs") ?? "[]")) song(name).resume(job);
