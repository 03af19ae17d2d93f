//! Fake peers for tests, raw bytes on loopback: they import nothing of the product.
