#![doc = include_str!("../README.md")]

pub mod generator;
pub mod measuring;
