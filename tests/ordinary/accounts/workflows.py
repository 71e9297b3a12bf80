"""What is found of a question, cited."""

from lingstream import workflow


@workflow("notes", access="anyone")
async def notes(run):
    question = run.input["question"]
    found = await run.step("retrieve", question, root="sources", collection=["notes"])
    if found:
        said = {"source": 1, "quote": found[0]["text"]}
        await run.step("cite", said, root="citations/0", sources=found)
