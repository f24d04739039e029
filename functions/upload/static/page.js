// The page: takes files from the picker or by drag and drop, uploads them with the chosen options,
// and shows the songs of this browser tab again after a reload.

import { createSong } from "./song.js";

const form = document.getElementById("form");
const fileInput = document.getElementById("files");
const dropZone = document.getElementById("drop");
const MAX_REMEMBERED = 20;

function addFiles(fileList) {
  const problem = document.getElementById("page-problem");
  const maxBytes = Number(form.dataset.maxSongBytes);
  const files = [...fileList];
  const rejected = files.filter((file) => file.size > maxBytes || file.size === 0);
  problem.textContent = rejected.map((file) => rejection(file, maxBytes)).join(" ");
  for (const file of files.filter((file) => !rejected.includes(file))) {
    createSong(file.name).upload(file, chosenOptions(), (job) => remember(job, file.name));
  }
}

function rejection(file, maxBytes) {
  if (file.size === 0) return `“${file.name}” is empty.`;
  return `“${file.name}” is too large: a song can have up to ${Math.round(maxBytes / 1e6)} MB.`;
}

// Return the options that differ from the defaults.
function chosenOptions() {
  const options = {};
  for (const field of form.querySelectorAll("#options [name]")) {
    const isShown = !field.closest("[hidden]");
    const isDefault = field.tagName === "SELECT" && field.selectedIndex === 0;
    if (isShown && field.value.trim() && !isDefault) options[field.name] = field.value.trim();
  }
  return options;
}

// Show only the options that the chosen format has.
function showFormatOptions() {
  const format = form.elements.format.value;
  for (const field of form.querySelectorAll("[data-for]")) {
    field.hidden = !field.dataset.for.split(" ").includes(format);
  }
  if (form.elements.bits.selectedOptions[0].hidden) form.elements.bits.value = "16";
}

function rememberedSongs() {
  return JSON.parse(sessionStorage.getItem("songs") ?? "[]");
}

function remember(job, name) {
  const songs = [...rememberedSongs(), { job, name }].slice(-MAX_REMEMBERED);
  sessionStorage.setItem("songs", JSON.stringify(songs));
}

fileInput.addEventListener("change", () => {
  addFiles(fileInput.files);
  fileInput.value = ""; // the same file can then be chosen again
});
form.elements.format.addEventListener("change", showFormatOptions);
form.addEventListener("submit", (event) => event.preventDefault());
for (const type of ["dragenter", "dragover"]) {
  dropZone.addEventListener(type, (event) => {
    event.preventDefault();
    dropZone.classList.add("over");
  });
}
dropZone.addEventListener("dragleave", () => dropZone.classList.remove("over"));
dropZone.addEventListener("drop", (event) => {
  event.preventDefault();
  dropZone.classList.remove("over");
  addFiles(event.dataTransfer.files);
});

showFormatOptions();
for (const { job, name } of rememberedSongs()) createSong(name).resume(job);
