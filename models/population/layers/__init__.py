"""Population layers.  One file per kind of layer; a new file is found as soon as it exists."""
