//! Output `Sourcefire`.
