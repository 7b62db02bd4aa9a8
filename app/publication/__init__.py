"""From orders to zones: rules, releases and serials; the publisher that writes them, the follower that reads them."""
