"""What a job writes beside its song: stems, previews, manifest."""
