"""The framework-free core: parser, ops, run log and workflow engine. Imports no Django, channels or vendor SDK."""
