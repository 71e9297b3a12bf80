"""A peer's store in memory: ``python bench/peers/knowledge_stores.py langchain|llamaindex SIZE ROUNDS``."""

import json
import sys

from corpus import passages, timed, vector  # this folder's


def langchain(number):
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import InMemoryVectorStore

    class Embedded(Embeddings):
        def embed_documents(self, texts):
            return [vector(text).tolist() for text in texts]

        def embed_query(self, text):
            return vector(text).tolist()

    store = InMemoryVectorStore(Embedded())
    rows = passages(number)
    store.add_texts([text for _, text in rows], [{"title": title} for title, _ in rows])
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
    find = {"langchain": langchain, "llamaindex": llamaindex}[name](int(number))
    print(json.dumps(timed(find, int(rounds))))
