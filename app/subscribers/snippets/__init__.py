"""Configuration of resolvers, one module for each kind; the tuple below is all there are."""

from app.subscribers.snippets import bind, knot, knot_resolver, nsd, powerdns, unbound
from app.subscribers.snippets.snippet import Snippet

SNIPPETS: tuple[Snippet, ...] = (
    bind.SNIPPET,
    unbound.SNIPPET,
    powerdns.SNIPPET,
    knot_resolver.SNIPPET,
    knot.SNIPPET,
    nsd.SNIPPET,
)
