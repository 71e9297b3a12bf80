"""A site's own model, for what is indexed of models."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models

__all__ = ["Article", "Piece", "Scrap", "Tale"]


class Article(models.Model):
    title = models.CharField(max_length=100)
    text = models.TextField(blank=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True)
    tenant = models.CharField(max_length=100, blank=True)
    published = models.BooleanField(default=True)
    changed_at = models.DateTimeField(auto_now=True)
    groups = models.ManyToManyField(Group)

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return f"/articles/{self.pk}/"


class Piece(Article):
    class Meta:
        proxy = True


class Scrap(Article):
    class Meta:
        proxy = True


class Tale(Article):
    moral = models.CharField(max_length=100, blank=True)
