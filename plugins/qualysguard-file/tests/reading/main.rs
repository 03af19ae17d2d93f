//! The whole input over the invented reports, through the same calls that the host makes.

mod damaged;
mod drive;
mod files;
mod fields;
mod refused;
mod whole;
