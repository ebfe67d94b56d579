//! Fuzz targets as functions, so that the same code runs under cargo fuzz and in the replay test.

#![forbid(unsafe_code)]

pub mod keys;
