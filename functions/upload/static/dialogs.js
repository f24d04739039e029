// Questions in dialogs.

// Open a dialog; resolve with the value of the button that closes it, "" for Escape.
export function ask(dialog) {
  dialog.returnValue = ""; // Escape leaves it as it was the last time
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue);
  });
}
