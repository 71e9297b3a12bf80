"""The framework-free core: parser, ops, run log and workflow engine, without Django, channels or an SDK."""
