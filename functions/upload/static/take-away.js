// The part "Take away" of the mixer. What it does is loaded when a button is pressed.

const part = document.getElementById("take-away");

// `current()` returns {song, mixer, player} of the chosen song.
export function watchTakeAway(current) {
  part.addEventListener("click", async ({ target }) => {
    const button = target.closest("[data-take]");
    if (!button) return;
    const { takeAway } = await import("./downloads.js");
    await takeAway(button, current);
  });
}

// Another song is chosen: nothing of the last one is shown or busy.
export function clearTakeAway() {
  part.querySelector("#taken").replaceChildren();
  for (const button of part.querySelectorAll("[aria-disabled]")) button.removeAttribute("aria-disabled");
}
