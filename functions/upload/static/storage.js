// What this browser keeps for the page. A browser that may keep nothing, by a setting, throws at
// every use of localStorage: then it is kept as long as the tab lives.

class Memory {
  getItem(name) {
    return this[name] ?? null;
  }

  setItem(name, value) {
    this[name] = value;
  }

  removeItem(name) {
    delete this[name];
  }
}

export const storage = openStorage();
export const isKept = !(storage instanceof Memory);

function openStorage() {
  try {
    localStorage.getItem("");
    return localStorage;
  } catch {
    return new Memory();
  }
}
