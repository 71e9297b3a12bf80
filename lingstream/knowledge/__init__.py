"""Knowledge: collections that are kept true to their sources, found in by what a person may see.

A Django app of its own: ``INSTALLED_APPS += ["lingstream.knowledge"]``. lingstream never imports it; its step
kind, its workflows and its commands are found through the registries, as any app's are.
"""
