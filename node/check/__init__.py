"""What `radnode check` and `radnode sources` find out; rows and files in, sentences out."""
