"""A peer's store: ``python bench/peers/knowledge_stores.py langchain|milvus|llamaindex SIZE ROUNDS``.

All are in memory, but for *milvus*: that is LangChain's with Milvus Lite beside the file ``BENCH_DATABASE``.
"""

import json
import sys
from functools import partial

from corpus import milvus, passages, timed, vector  # this folder's


def in_memory(embeddings):
    from langchain_core.vectorstores import InMemoryVectorStore

    return InMemoryVectorStore(embeddings)


def langchain(number, kept=in_memory):
    from langchain_core.embeddings import Embeddings

    class Embedded(Embeddings):
        def embed_documents(self, texts):
            return [vector(text).tolist() for text in texts]

        def embed_query(self, text):
            return vector(text).tolist()

    store = kept(Embedded())
    rows = passages(number)
    keys = [str(place) for place in range(number)]
    store.add_texts([text for _, text in rows], [{"title": title} for title, _ in rows], ids=keys)
    return lambda question: len(store.similarity_search(question, k=8))


def llamaindex(number):
    from llama_index.core.schema import TextNode
    from llama_index.core.vector_stores import SimpleVectorStore
    from llama_index.core.vector_stores.types import VectorStoreQuery

    store = SimpleVectorStore()
    rows = passages(number)
    nodes = [
        TextNode(id_=str(place), text=text, metadata={"title": title}, embedding=vector(text).tolist())
        for place, (title, text) in enumerate(rows)
    ]
    store.add(nodes)

    def find(question):
        query = VectorStoreQuery(query_embedding=vector(question).tolist(), similarity_top_k=8)
        return len([nodes[int(place)] for place in store.query(query).ids])

    return find


if __name__ == "__main__":
    name, number, rounds = sys.argv[1:]
    peers = {"langchain": langchain, "milvus": partial(langchain, kept=milvus), "llamaindex": llamaindex}
    find = peers[name](int(number))
    print(json.dumps(timed(find, int(rounds))))
