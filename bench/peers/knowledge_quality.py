"""Golden questions asked of a peer: ``knowledge_quality.py langchain|llamaindex|haystack GIVEN``.

*GIVEN* is a file with passages and questions, each with its vector (``bench.project.quality``). What is
printed are the figures of each way to search that the peer has in itself.
"""

import json
import sys
from pathlib import Path

from golden import BEST, scored  # this folder's


def langchain(given):
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import InMemoryVectorStore

    class Given(Embeddings):
        def embed_documents(self, texts):
            return [each["vector"] for each in given["passages"]]

        def embed_query(self, text):
            raise AssertionError("questions have their vectors")

    store = InMemoryVectorStore(Given())
    passages = given["passages"]
    store.add_texts([each["text"] for each in passages], [{"key": each["key"]} for each in passages])

    def vectors(question):
        return [
            found.metadata["key"] for found in store.similarity_search_by_vector(question["vector"], k=BEST)
        ]

    return {"vector": vectors}


def llamaindex(given):
    from llama_index.core.schema import TextNode
    from llama_index.core.vector_stores import SimpleVectorStore
    from llama_index.core.vector_stores.types import VectorStoreQuery

    store = SimpleVectorStore()
    nodes = [
        TextNode(id_=str(place), text=each["text"], embedding=each["vector"])
        for place, each in enumerate(given["passages"])
    ]
    store.add(nodes)

    def vectors(question):
        query = VectorStoreQuery(query_embedding=question["vector"], similarity_top_k=BEST)
        return [given["passages"][int(place)]["key"] for place in store.query(query).ids]

    return {"vector": vectors}


def haystack(given):
    from haystack import Document
    from haystack.components.joiners import DocumentJoiner
    from haystack.components.retrievers.in_memory import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    store = InMemoryDocumentStore()
    store.write_documents(
        [
            Document(id=str(place), content=each["text"], embedding=each["vector"], meta={"key": each["key"]})
            for place, each in enumerate(given["passages"])
        ]
    )
    of_each = 50  # as ours
    by_words = InMemoryBM25Retriever(store, top_k=of_each)
    by_vectors = InMemoryEmbeddingRetriever(store, top_k=of_each)
    joiner = DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=BEST)

    def words(question):
        return by_words.run(query=question["question"])["documents"]

    def vectors(question):
        return by_vectors.run(query_embedding=question["vector"])["documents"]

    def both(question):
        return joiner.run(documents=[words(question), vectors(question)])["documents"]

    def keys(find):
        return lambda question: [found.meta["key"] for found in find(question)[:BEST]]

    return {"keyword": keys(words), "vector": keys(vectors), "hybrid": keys(both)}


if __name__ == "__main__":
    name, path = sys.argv[1:]
    given = json.loads(Path(path).read_text("utf-8"))
    ways = {"langchain": langchain, "llamaindex": llamaindex, "haystack": haystack}[name](given)
    print(json.dumps({way: scored(given["questions"], find) for way, find in ways.items()}))
