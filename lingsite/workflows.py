"""The demo's workflow in Python: Ling's README example, in as many lines as it has bots."""

from lingstream import Run, workflow

ANSWER = 'Answer the question in one sentence.\nReply in JSON: {"answer": "My answer"}'
DETAILS = 'Expand what I give you.\nReply in JSON: {"details": "…", "related_question": ["…", "…"]}'
TRANSLATION = 'Expand what I give you, in Chinese.\nReply in JSON: {"details_cn": "…"}'


@workflow("cloud-facts-python", access="anyone", show_reasoning=True)
async def cloud_facts(run: Run) -> None:
    """Answer briefly; when the answer closes, expand and translate it side by side."""
    bot = run.bot(ANSWER, name="answer").chat(run.input["question"])
    async for answer in bot.fields("answer"):
        run.bot(DETAILS, name="details").chat(answer.value)
        run.bot(TRANSLATION, name="translation").chat(answer.value)
