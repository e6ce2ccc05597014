"""Series of archives and public sets: found, labelled and fetched."""
