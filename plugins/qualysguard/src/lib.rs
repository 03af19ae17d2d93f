//! Input `QualysGuard`.
