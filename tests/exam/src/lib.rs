//! Tests of `scanbridge plugin test`, in `tests/`.
