"""The demo's prompts and workflows, as ``manage.py demo`` creates them."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_noop as _

__all__ = ["DOCS", "INPUT_SCHEMA", "PROMPTS", "WORKFLOWS"]

_HINT = """{# Try it: write “Tone: pirate” below, tick “Put the new version into production”,
   save, and ask again on the demo page. A line “Sign as: Ada” works as well. #}
"""

PROMPTS: dict[str, dict[str, Any]] = {
    "cloud-answer": {
        "name": "Cloud facts: short answer",
        "variables": {"tone": "friendly"},
        "text": _HINT
        + """You answer questions about nature for curious people.
Answer in one sentence that a ten-year-old understands.

Tone: {{ tone }}

Reply with JSON in this form and nothing else:
{"answer": "…"}
""",
    },
    "cloud-details": {
        "name": "Cloud facts: details",
        "variables": {"tone": "friendly"},
        "text": """You explain short answers about nature.
You get a question and its short answer. Explain it in three to five sentences and name one number
that surprises. Then suggest three questions that a curious reader would ask next.

Tone: {{ tone }}

Reply with JSON in this form and nothing else:
{"details": "…", "related_question": ["…", "…", "…"]}
""",
    },
    "cloud-translation": {
        "name": "Cloud facts: Chinese",
        "variables": {},
        "text": """You write for readers of simplified Chinese.
You get a question and its short answer in English. Answer it in Chinese in two to four sentences.

Reply with JSON in this form and nothing else:
{"details_cn": "…"}
""",
    },
    "outline": {
        "name": "Outline: topics",
        "variables": {},
        "text": """You plan short articles.
List four to six topics that answer the question, in the order in which a reader needs them.
Each topic is a heading of two to six words.

Reply with JSON in this form and nothing else:
{"outline": [{"topic": "…"}, {"topic": "…"}]}
""",
    },
    "outline-details": {
        "name": "Outline: one topic",
        "variables": {"tone": "friendly"},
        "text": """You write one paragraph of an article: two to four sentences about the given topic, and
only about that.

Tone: {{ tone }}

Reply with plain text: no heading, no list, no JSON.
""",
    },
    "field-guide": {
        "name": "Field guide: clouds",
        "variables": {},
        "text": """You name clouds for people who look up.
Name four to six clouds that answer the question, from the lowest to the highest. For each say how likely it
is to bring rain, from 0 to 5, and by which sign one knows it, in at most ten words.

Reply with JSON in this form and nothing else:
{"clouds": [{"id": "nimbostratus", "name": "Nimbostratus", "rain": 5, "sign": "…"}]}
""",
    },
    "field-guide-text": {
        "name": "Field guide: text",
        "variables": {"tone": "friendly"},
        "text": """You write short field guides.
Answer the question for somebody who stands outside and looks up, with the clouds that are named. Write
Markdown: a heading, a short paragraph, a list or a table, and one sentence to remember in bold.

Tone: {{ tone }}

Reply with Markdown and nothing else.
""",
    },
    "companion": {
        "name": "Companion",
        "variables": {"tone": "friendly"},
        "text": """You are a companion who knows the sky, in a conversation with a curious person.
Answer in one or two sentences. Put up to three facts worth keeping on cards: a title of at most three words,
and one sentence. Suggest up to three questions that the person may want to ask next.
A message in the place of a question that speaks of “the user” is an instruction to you: follow it.

Tone: {{ tone }}

Reply with JSON in this form and nothing else:
{"answer": "…", "cards": [{"title": "…", "text": "…"}], "related_question": ["…"]}
""",
    },
}

_ASKED = "Question: {{ input.question }}\nShort answer: {{ value }}"

WORKFLOWS: dict[str, dict[str, Any]] = {
    "cloud-facts": {
        "name": "Cloud facts",
        "description": "A short answer; when it is complete, details and a translation, side by side.",
        "steps": [
            {"name": "answer", "prompt": "cloud-answer", "input": "{{ input.question }}"},
            {"name": "details", "prompt": "cloud-details", "input": _ASKED},
            {"name": "translation", "prompt": "cloud-translation", "input": _ASKED},
        ],
        "triggers": [
            {"source": "answer", "target": "details", "event": "string-response", "pattern": "answer"},
            {"source": "answer", "target": "translation", "event": "string-response", "pattern": "answer"},
        ],
    },
    "outline": {
        "name": "Outline",
        "description": "A list of topics; each one that is complete starts a bot that writes its details.",
        "steps": [
            {"name": "outline", "prompt": "outline", "input": "{{ input.question }}"},
            {
                "name": "details",
                "prompt": "outline-details",
                "input": "Question: {{ input.question }}\nTopic: {{ value }}",
                "root": "outline/{{ match[0] }}/details",
                "format": "text",
            },
        ],
        "triggers": [
            {
                "source": "outline",
                "target": "details",
                "event": "string-response",
                "pattern": "outline/*/topic",
            },
        ],
    },
    "field-guide": {
        "name": "Field guide",
        "description": "A list of clouds; when it is complete it is sorted, and a bot writes Markdown.",
        "steps": [
            {"name": "clouds", "prompt": "field-guide", "input": "{{ input.question }}"},
            {
                "name": "order",
                "kind": "compute",
                "options": {"set": {"clouds": "document.clouds|sort(attribute='rain', reverse=true)"}},
            },
            {
                "name": "guide",
                "prompt": "field-guide-text",
                "input": "Question: {{ input.question }}\n"
                "Clouds: {{ document.clouds|map(attribute='name')|join(', ') }}",
                "root": "guide",
                "format": "text",
            },
        ],
        "triggers": [
            {"source": "clouds", "target": "order", "event": "response"},
            {"source": "clouds", "target": "guide", "event": "response"},
        ],
    },
    "docs-chat": {
        "name": _("Documentation"),
        "description": _("Questions about lingstream, answered from its documentation with citations."),
        "steps": [],
        "triggers": [],
        "chat": {"titles": False, "summarize": False},
    },
    "companion": {
        "name": _("Companion"),
        "description": _("A chat that greets, answers in cards and suggests, and does not wait to be asked."),
        "steps": [
            {
                "name": "companion",
                "prompt": "companion",
                "input": "{{ input.question }}",
                "history": True,
            },
        ],
        "triggers": [],
        "chat": {"titles": False, "summarize": False},
        "occasions": [
            {
                "kind": "greeting",
                "name": "greeting",
                "input": "The conversation begins. Greet the user.",
            },
            {
                "kind": "silence",
                "name": "silence",
                "input": "The user has been silent, for the "
                "{{ '1st' if occasion.number == 1 else '2nd' }} time.",
                "after": 60,
                "factor": 3,
                "at_most": 2,
            },
        ],
    },
}

#: The folder that ``/docs/`` answers from, looked at as soon as a page has changed.
DOCS: dict[str, Any] = {
    "kind": "folder",
    "config": {"path": ".", "patterns": ["*.md"], "url": "/docs/{path}", "watch": True},
    "every": 300,
}

INPUT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"question": {"type": "string", "minLength": 1, "maxLength": 2000}},
    "required": ["question"],
}
