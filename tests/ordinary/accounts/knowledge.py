"""Notes are found by those who have written them."""

from lingstream.knowledge.registry import index

from .models import Note

index(
    Note,
    collection="notes",
    text="text",
    owner="owner",
    visible_to=lambda user: Note.objects.filter(owner_id=user.pk),
)
