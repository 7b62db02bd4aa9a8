"""The whole way, on real resolvers."""
