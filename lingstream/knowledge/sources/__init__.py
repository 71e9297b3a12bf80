"""Where documents come from, a module for each kind."""

from .feed import Feeds
from .folder import Folder
from .models import Models
from .port import register_source
from .python import Python
from .storage import StorageFiles
from .upload import Uploads
from .web import Web
from .webhook import Webhook

__all__ = ["BUILT_IN"]

BUILT_IN = tuple(
    register_source(kind)
    for kind in (Feeds(), Folder(), Models(), Python(), StorageFiles(), Uploads(), Web(), Webhook())
)
