"""ISPs as consumers of the zones: who they are, their keys, what they are known to have, their configuration."""
