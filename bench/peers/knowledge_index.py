"""A peer's incremental index: ``knowledge_index.py langchain|milvus|llamaindex|haystack SIZE [cutting]``.

Each as its documentation has it; texts come cut already, in pieces of the same length, or with *cutting* are
cut by the splitter that is the peer's own. All hold them in memory, but for *milvus*: that is LangChain with
its records in SQLite and its vectors in Milvus Lite, both beside the file ``BENCH_DATABASE``.
"""

import json
import sys
from functools import partial

from corpus import FOLDER, LENGTH, indexed, milvus, pieces, vector  # this folder's


class Counted:
    """The corpus's vectors, counted."""

    def __init__(self):
        self.count = 0

    def of(self, texts):
        self.count += len(texts)
        return [vector(text).tolist() for text in texts]

    def taken(self):
        count, self.count = self.count, 0
        return count


def in_memory(embeddings):
    from langchain_core.indexing import InMemoryRecordManager
    from langchain_core.vectorstores import InMemoryVectorStore

    return InMemoryVectorStore(embeddings), InMemoryRecordManager("bench")


def durable(embeddings):
    from langchain_classic.indexes import SQLRecordManager

    return milvus(embeddings), SQLRecordManager("bench", db_url=f"sqlite:///{FOLDER / 'records.sqlite3'}")


def langchain(counted, cutting, kept=in_memory):
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.indexing import index

    class Embedded(Embeddings):
        def embed_documents(self, texts):
            return counted.of(texts)

        def embed_query(self, text):
            return vector(text).tolist()

    split = pieces
    if cutting:
        from langchain_text_splitters import RecursiveCharacterTextSplitter

        split = RecursiveCharacterTextSplitter(chunk_size=LENGTH, chunk_overlap=0).split_text
    store, records = kept(Embedded())
    records.create_schema()

    def one_pass(documents):
        given = [
            Document(piece, metadata={"source": key, "title": title, "position": position})
            for key, (title, text) in documents.items()
            for position, piece in enumerate(split(text))
        ]
        index(given, records, store, cleanup="full", source_id_key="source")
        return counted.taken()

    return one_pass


def llamaindex(counted, cutting):
    from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
    from llama_index.core.node_parser import SentenceSplitter
    from llama_index.core.schema import Document, TextNode, TransformComponent
    from llama_index.core.storage.docstore import SimpleDocumentStore
    from llama_index.core.vector_stores import SimpleVectorStore

    class Cut(TransformComponent):
        def __call__(self, nodes, **_):
            return [
                TextNode(
                    id_=f"{node.id_} {position}",
                    text=piece,
                    metadata=node.metadata,
                    relationships={"1": node.as_related_node_info()},
                )
                for node in nodes
                for position, piece in enumerate(pieces(node.text))
            ]

    class Embedded(TransformComponent):
        def __call__(self, nodes, **_):
            for node, found in zip(nodes, counted.of([node.text for node in nodes]), strict=True):
                node.embedding = found
            return nodes

    cut = SentenceSplitter(chunk_size=LENGTH // 4, chunk_overlap=0) if cutting else Cut()
    pipeline = IngestionPipeline(
        transformations=[cut, Embedded()],
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS_AND_DELETE,
        vector_store=SimpleVectorStore(),
        disable_cache=True,
    )

    def one_pass(documents):
        pipeline.run(
            documents=[
                Document(id_=key, text=text, metadata={"title": title})
                for key, (title, text) in documents.items()
            ]
        )
        return counted.taken()

    return one_pass


def haystack(counted, cutting):
    from haystack import Document, Pipeline, component
    from haystack.components.preprocessors import DocumentSplitter
    from haystack.components.writers import DocumentWriter
    from haystack.document_stores.in_memory import InMemoryDocumentStore
    from haystack.document_stores.types import DuplicatePolicy

    @component
    class Embedded:
        @component.output_types(documents=list[Document])
        def run(self, documents: list[Document]):
            for document, found in zip(
                documents, counted.of([each.content for each in documents]), strict=True
            ):
                document.embedding = found
            return {"documents": documents}

    pipeline = Pipeline()
    pipeline.add_component("embed", Embedded())
    pipeline.add_component("write", DocumentWriter(InMemoryDocumentStore(), policy=DuplicatePolicy.OVERWRITE))
    pipeline.connect("embed.documents", "write.documents")
    first = "embed"
    if cutting:
        first = "split"
        splitter = DocumentSplitter(split_by="word", split_length=LENGTH // 6, split_overlap=0)
        pipeline.add_component("split", splitter)
        pipeline.connect("split.documents", "embed.documents")

    def one_pass(documents):
        given = [
            Document(content=piece, meta={"key": key, "title": title, "position": position})
            for key, (title, text) in documents.items()
            for position, piece in enumerate([text] if cutting else pieces(text))
        ]
        pipeline.run({first: {"documents": given}})
        return counted.taken()

    return one_pass


if __name__ == "__main__":
    name, number, *cutting = sys.argv[1:]
    counted = Counted()
    peers = {
        "langchain": langchain,
        "milvus": partial(langchain, kept=durable),
        "llamaindex": llamaindex,
        "haystack": haystack,
    }
    one_pass = peers[name](counted, bool(cutting))
    print(json.dumps(indexed(one_pass, int(number))))
