"""The whole system on one machine: setting it up, starting it, and giving it a song."""
