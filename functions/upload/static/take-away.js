// The part "Take away" of the mixer. What it does is loaded when a button is pressed.

// `current()` returns {song, mixer, player}.
export function watchTakeAway(current) {
  document.getElementById("take-away").addEventListener("click", async ({ target }) => {
    const button = target.closest("[data-take]");
    if (!button) return;
    const { takeAway } = await import("./downloads.js");
    await takeAway(button, current());
  });
}
