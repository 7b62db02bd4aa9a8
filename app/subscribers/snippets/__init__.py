"""Configuration of resolvers, one module for each kind; the tuple below is all there are."""

from app.subscribers.snippets import bind
from app.subscribers.snippets.snippet import Snippet

SNIPPETS: tuple[Snippet, ...] = (bind.SNIPPET,)
