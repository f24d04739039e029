"""A song as samples: download, decode, normalize, encode."""
