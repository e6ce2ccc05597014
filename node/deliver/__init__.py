"""One file per kind of destination; all of them speak `destination.Destination`."""
