"""All components on one machine: set them up, start them, and separate a song."""
