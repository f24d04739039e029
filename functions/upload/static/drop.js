// Files that are dropped anywhere on the page.

const veil = document.getElementById("drop-veil");
let depth = 0; // of elements that were entered and not left

// Call `onFiles` with the files of each drop.
export function watchDrops(onFiles) {
  const isFiles = (event) => event.dataTransfer?.types.includes("Files");
  const show = () => { veil.hidden = depth === 0; };
  document.addEventListener("dragenter", (event) => {
    if (!isFiles(event)) return;
    event.preventDefault();
    depth += 1;
    show();
  });
  document.addEventListener("dragleave", (event) => {
    if (!isFiles(event)) return;
    depth = Math.max(0, depth - 1);
    show();
  });
  document.addEventListener("dragover", (event) => {
    if (!isFiles(event)) return;
    event.preventDefault(); // else the browser opens the file
    event.dataTransfer.dropEffect = "copy";
  });
  document.addEventListener("drop", (event) => {
    if (!isFiles(event)) return;
    event.preventDefault();
    depth = 0;
    show();
    onFiles([...event.dataTransfer.files]);
  });
}
