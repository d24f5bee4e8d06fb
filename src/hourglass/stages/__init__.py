"""The pipeline, one file a DVC stage: each a typed function that reads files and writes files."""
